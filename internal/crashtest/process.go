package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// configVariable carries the configuration to a process of Start.
const configVariable = "WILDOUT_CRASHTEST_RUNNER"

// Process is a runner in a process of its own: this program, started again.
type Process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   tail
	done  chan struct{} // closed when the process has ended
}

// Start starts this program again; its call of Child gets the configuration.
// The process ends with this one.
func Start(config string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &Process{cmd: exec.Command(program), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), configVariable+"="+config)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a runner: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a runner: %w", err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how a killed process exits says nothing
	}()
	return p, nil
}

// Begin tells the process to begin its work. Until then it is on standby, so
// that a test can measure without the start of a process.
func (p *Process) Begin() error {
	if _, err := io.WriteString(p.stdin, "begin\n"); err != nil {
		return fmt.Errorf("tell the runner to begin: %w; its log ends with:\n%s", err, p.Log())
	}
	return nil
}

// Kill ends the process at once (SIGKILL), also a frozen one. It returns when
// the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}

// Freeze stops the process in the middle of what it does (SIGSTOP).
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on (SIGCONT).
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

// Terminate asks the process to end in order (SIGTERM) and does not wait.
func (p *Process) Terminate() error { return p.signal(syscall.SIGTERM) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to a runner: %w", s, err)
	}
	return nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns the end of what the process has written.
func (p *Process) Log() string { return p.log.String() }

// Child is to be called first in TestMain. In a process of Start it runs the
// runner and never returns; elsewhere it does nothing. ctx ends with SIGTERM;
// begin is closed by Begin.
func Child(runner func(ctx context.Context, config []byte, begin <-chan struct{}) error) {
	config, is := os.LookupEnv(configVariable)
	if !is {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	begin := make(chan struct{})
	go func() {
		in := bufio.NewReader(os.Stdin)
		if _, err := in.ReadString('\n'); err == nil {
			close(begin)
			_, _ = in.ReadByte() // blocks for as long as the test lives
		}
		os.Exit(3)
	}()
	err := runner(ctx, []byte(config), begin)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// End asks the process to end in order and kills it after the grace time.
func (p *Process) End(grace time.Duration) error {
	if err := p.Terminate(); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.Kill()
		return fmt.Errorf("the runner did not end within %s of SIGTERM; its log ends with:\n%s", grace, p.Log())
	}
}

// maxLog bounds what is kept of a process's log, in bytes.
const maxLog = 64 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - maxLog; over > maxLog {
		t.text = bytes.Clone(t.text[over:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text[max(0, len(t.text)-maxLog):])
}
