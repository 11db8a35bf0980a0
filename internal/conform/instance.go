package conform

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// instance is a running scanner behind a wire of its own.
type instance struct {
	*wire
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start begins an instance.
func (o Options) start(ctx context.Context) (*instance, error) {
	i := &instance{wire: newWire(ctx), done: make(chan struct{})}
	env := append(os.Environ(), o.Env...)
	for name, target := range map[string]string{"FACTGATE_SERVER": o.Server, "FACTGATE_EVENTSTORE": o.EventStore} {
		if target == "" {
			continue
		}
		u, err := url.Parse(target)
		if err != nil || u.Host == "" || strings.Contains(u.Host, ",") || u.Scheme != "http" && u.Scheme != "esdb" && u.Scheme != "kurrentdb" {
			i.close()
			return nil, fmt.Errorf("the kit stands between the scanner and %s: give one address without TLS, such as http://127.0.0.1:8080 or esdb://127.0.0.1:2113?tls=false", name)
		}
		if u.Host, err = i.to(u.Host); err != nil {
			i.close()
			return nil, err
		}
		env = append(env, name+"="+u.String())
	}
	i.cmd = exec.CommandContext(ctx, "sh", "-c", o.Exec)
	i.cmd.Cancel = func() error { return syscall.Kill(-i.cmd.Process.Pid, syscall.SIGKILL) }
	i.cmd.Env = env
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what sh started dies with it
	if o.Output != nil {
		i.cmd.Stdout, i.cmd.Stderr = o.Output, o.Output
	}
	if err := i.cmd.Start(); err != nil {
		i.close()
		return nil, fmt.Errorf("start the scanner: %w", err)
	}
	go func() {
		_ = i.cmd.Wait()
		close(i.done)
	}()
	return i, nil
}

// kill ends it as a power cut would.
func (i *instance) kill() {
	if i == nil {
		return
	}
	_ = syscall.Kill(-i.cmd.Process.Pid, syscall.SIGKILL)
	i.close()
	<-i.done
}
