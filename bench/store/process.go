package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/factgate/factgate/bench/internal/lab"
)

// start runs a program until it is ready; it ends with the run at the latest.
func (b *bench) start(ctx context.Context, program string, args ...string) (*lab.Process, error) {
	p, err := lab.Start(ctx, program, args...)
	if err == nil {
		b.begun = append(b.begun, p)
	}
	return p, err
}

// startNode runs the node on a folder.
func (b *bench) startNode(ctx context.Context, data string) (*lab.Process, error) {
	dir := filepath.Join(b.dir, data)
	if b.profile == "" {
		return b.start(ctx, b.factgate, "node", "--data", dir, "--listen", "127.0.0.1:0")
	}
	return b.serve(ctx, "node", "-data", dir)
}

// startOther runs the node of the binary that ours is measured against.
func (b *bench) startOther(ctx context.Context, data string) (*lab.Process, error) {
	return b.start(ctx, b.against, "node", "--data", filepath.Join(b.dir, data), "--listen", "127.0.0.1:0")
}

// serve runs this program as a server.
func (b *bench) serve(ctx context.Context, args ...string) (*lab.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, self, append([]string{"serve"}, args...)...)
}

// profiled runs work while the node's processor profile is taken, if that is
// wanted. The profile covers at least the given time.
func (b *bench) profiled(s lab.Server, name string, d time.Duration, work func() error) error {
	p, ok := s.(*lab.Process)
	if !ok || p.Pprof == "" {
		return work()
	}
	taken := make(chan error, 1)
	go func() { taken <- takeProfile(p, filepath.Join(b.profile, name+".pprof"), d) }()
	return errors.Join(work(), <-taken)
}

func takeProfile(p *lab.Process, file string, d time.Duration) error {
	seconds := max(1, int(d/time.Second))
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.Pprof, seconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile of the node: %s: %s", resp.Status, body)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o644)
}
