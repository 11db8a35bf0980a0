package esdb_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore/node"
)

// A node in a process of its own is this test binary, told so by its environment.
const (
	processDirEnv    = "FACTGATE_ESDB_TEST_NODE_DIR"
	processListenEnv = "FACTGATE_ESDB_TEST_NODE_LISTEN"
)

// serve is what that process does: it says where it is, and ends in good order
// with SIGTERM, and at once with its parent.
func serve(dir, listen string) {
	n, err := node.Open(context.Background(), node.Options{Dir: dir, Listen: listen})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	fmt.Println(n.ConnectionString())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	<-terminated
	if err := n.Close(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is a node that can be stopped as processes are. It keeps its folder and
// its address over all its lives.
type process struct {
	t           *testing.T
	dir, listen string
	cmd         *exec.Cmd
}

func startProcess(t *testing.T) *process {
	p := &process{t: t, dir: t.TempDir(), listen: freeAddress(t)}
	p.start()
	t.Cleanup(func() {
		if p.cmd != nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

func (p *process) connectionString() string { return "esdb://" + p.listen + "?tls=false" }

// start returns when the node serves.
func (p *process) start() {
	p.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processDirEnv+"="+p.dir, processListenEnv+"="+p.listen)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe()
	require.NoError(p.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	p.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(p.t, err)
	require.Equal(p.t, p.connectionString(), strings.TrimSpace(line))
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// terminate asks the node to stop, kill leaves it no time to prepare. Both return
// when it is gone.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.NoError(p.t, p.cmd.Wait())
	p.cmd = nil
}

func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it says "killed"
	p.cmd = nil
}

// freeAddress finds a port that a server can have again after minutes without it:
// one below those that the kernel gives to whoever asks for any, clients included.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 15_000+rand.IntN(15_000)))
		if err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	require.FailNow(t, "there is no free port")
	return ""
}
