package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// process is a program that this one starts and ends.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // how; to be read once ended is closed
}

// start starts a program. Its output goes to <folder>/<name>.log, and it does
// not outlive this process.
func start(folder, name, program string, args, environ []string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", name, err)
	}
	defer log.Close()
	p := &process{name: name, ended: make(chan struct{}), cmd: exec.Command(program, args...)} //nolint:noctx // stop ends it, in order
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = log, log, folder
	p.cmd.Env = append(os.Environ(), environ...)
	// A process group of its own: an interrupt from the keyboard is for us.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	const patience = 40 * time.Second
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.ended
	return fmt.Errorf("%s did not end within %s, and was killed", p.name, patience)
}

// until waits until ready holds, and gives up when the process ends first.
func (p *process) until(ctx context.Context, limit time.Duration, ready func() error) error {
	end := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready after %s: %w", p.name, limit, err)
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended (%w) before it was ready: %w", p.name, p.err, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// usage is what a process has used since it began.
type usage struct {
	CPU       time.Duration
	RSS, Peak uint64 // bytes
}

func (p *process) usage() (usage, error) {
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		return usage{}, fmt.Errorf("read what %s uses: %w", p.name, err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return usage{}, fmt.Errorf("read what %s uses: %w", p.name, err)
	}
	status, err := proc.NewStatus()
	if err != nil {
		return usage{}, fmt.Errorf("read what %s uses: %w", p.name, err)
	}
	return usage{CPU: time.Duration(stat.CPUTime() * float64(time.Second)), RSS: status.VmRSS, Peak: status.VmHWM}, nil
}

// freePort is a port that nobody listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
