package servicetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second // a slow machine with both cores busy
	stopGrace    = 20 * time.Second
	pollInterval = 10 * time.Millisecond
	portTries    = 5
)

// server is a program that listens on a port and can be stopped and started.
type server struct {
	name    string
	logFile string
	port    int // fixed once the first start has succeeded

	// command returns the program, ready to start on s.port.
	command func() *exec.Cmd
	// ready says why the server cannot be used yet.
	ready func(context.Context) error
	// family lists the processes to freeze along with the first one.
	family func(pid int) ([]int, error)
	// onDeath ends the server when the test process is gone.
	onDeath syscall.Signal

	mu     sync.Mutex
	proc   *process // nil while stopped
	paused bool
}

// startAnywhere starts the server on a free port.
func (s *server) startAnywhere() error {
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		err = s.start()
		// Somebody may have taken the port since we looked.
		if err == nil || try == portTries || !strings.Contains(s.log(), "already in use") {
			return err
		}
	}
}

// start starts the server on its port and returns when it can be used.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && !s.proc.ended() {
		return fmt.Errorf("%s is running already", s.name)
	}
	proc, err := s.launch()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	if err := s.awaitReady(proc); err != nil {
		_ = proc.stop(syscall.SIGKILL, 0)
		return fmt.Errorf("%s did not start on port %d: %w; its log:\n%s", s.name, s.port, err, s.log())
	}
	s.proc, s.paused = proc, false
	return nil
}

func (s *server) launch() (*process, error) {
	log, err := os.Create(s.logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := s.command()
	// A file and no pipe: with a pipe, Wait would wait for grandchildren too.
	cmd.Stdout, cmd.Stderr = log, log
	return startProcess(cmd, s.onDeath)
}

func (s *server) awaitReady(proc *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := s.ready(ctx)
		if proc.ended() {
			return errors.New("it exited")
		}
		if err == nil {
			return nil
		}
		select {
		case <-proc.done:
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", startTimeout, err)
		}
	}
}

// stop sends sig, waits for the end, and is content when there is no server.
func (s *server) stop(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	if s.paused && sig != syscall.SIGKILL { // a frozen process takes no other signal
		if err := s.signalAll(syscall.SIGCONT); err != nil {
			return fmt.Errorf("stop %s: %w", s.name, err)
		}
	}
	if err := s.proc.stop(sig, stopGrace); err != nil {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	s.proc, s.paused = nil, false
	return nil
}

// pause freezes the server: connections stay open and nothing answers.
func (s *server) pause() error { return s.freeze("pause", syscall.SIGSTOP, true) }

// resume lets a frozen server go on.
func (s *server) resume() error { return s.freeze("resume", syscall.SIGCONT, false) }

func (s *server) freeze(verb string, sig syscall.Signal, paused bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || s.proc.ended() {
		return fmt.Errorf("%s %s: it is not running", verb, s.name)
	}
	if err := s.signalAll(sig); err != nil {
		return fmt.Errorf("%s %s: %w", verb, s.name, err)
	}
	s.paused = paused
	return nil
}

// signalAll signals the server, then its family: a frozen parent starts no
// children that would be missed.
func (s *server) signalAll(sig syscall.Signal) error {
	if err := s.proc.signal(sig); err != nil {
		return err
	}
	pids, err := s.family(s.proc.cmd.Process.Pid)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal its process %d: %w", pid, err)
		}
	}
	if sig != syscall.SIGSTOP {
		return nil
	}
	for _, pid := range append(pids, s.proc.cmd.Process.Pid) {
		if err := awaitStopped(pid); err != nil {
			return err
		}
	}
	return nil
}

// awaitStopped returns when no thread of a process runs any more: SIGSTOP does
// not wait for that, and one that still runs may answer.
func awaitStopped(pid int) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(pollInterval) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			return err
		}
		running := slices.ContainsFunc(threads, func(path string) bool {
			fields, err := statFields(path)
			return err == nil && !strings.ContainsAny(fields[0], "TZX")
		})
		if !running {
			return nil
		}
	}
	return fmt.Errorf("its process %d does not stop", pid)
}

// usable reports whether the server runs and is not frozen.
func (s *server) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil && !s.proc.ended() && !s.paused
}

// log returns what the server wrote since its last start.
func (s *server) log() string {
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
