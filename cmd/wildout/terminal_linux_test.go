package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/wildout/wildout/runtime/run"
)

// terminal is a pseudo terminal on which a program of a test runs.
type terminal struct {
	master, slave *os.File
	mu            sync.Mutex
	seen          bytes.Buffer
}

func newTerminal(t *testing.T, width, height uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	control := func(request uintptr, arg unsafe.Pointer) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(arg)); errno != 0 {
			t.Fatal(errno)
		}
	}
	var unlock, number int32
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	size := [4]uint16{height, width}
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	term := &terminal{master: master, slave: slave}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.seen.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// run runs a program on the terminal; type is what is typed once it has
// printed what it is an answer to.
func (t *terminal) run(test *testing.T, cmd *exec.Cmd, question, answer string) (status int) {
	test.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.slave, t.slave, t.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		test.Fatal(err)
	}
	if question != "" {
		eventually(test, "it asks "+question, func() bool { return strings.Contains(t.String(), question) })
		if _, err := t.master.WriteString(answer); err != nil {
			test.Fatal(err)
		}
	}
	_ = cmd.Wait() // the status says it
	time.Sleep(20 * time.Millisecond)
	return cmd.ProcessState.ExitCode()
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// TestOnATerminal: there are colours, questions, and a bar that goes on; what
// is printed fits.
func TestOnATerminal(t *testing.T) {
	s := startParcels(t)
	_, failed := s.sendFor(t, "refused", `{}`)
	s.reaches(t, failed, run.Failed)
	url := "--url=" + s.client.URL

	for _, width := range []uint16{40, 60, 80, 120} {
		screen := newTerminal(t, width, 30)
		screen.run(t, program(t, "wildout", "runs", "list", url), "", "")
		screen.run(t, program(t, "wildout", "functions", url), "", "")
		screen.run(t, program(t, "wildout", "events", "list", url), "", "")
		screen.run(t, program(t, "wildout", "runs", "get", failed, url), "", "")
		screen.run(t, program(t, "wildout", "functions", "--url", "http://127.0.0.1:1"), "", "")
		if !strings.Contains(screen.String(), "\x1b[31mfailed\x1b[0m") {
			t.Errorf("at %d there is no colour:\n%s", width, screen)
		}
		for line := range strings.Lines(escapes.ReplaceAllString(screen.String(), "")) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > int(width) {
				t.Errorf("at %d a line has %d characters: %s", width, n, line)
			}
		}
	}
	screen := newTerminal(t, 80, 24)
	plain := program(t, "wildout", "runs", "list", url)
	plain.Env = append(plain.Env, "NO_COLOR=1")
	if screen.run(t, plain, "", ""); strings.Contains(screen.String(), "\x1b") {
		t.Errorf("with NO_COLOR it prints %q", screen)
	}

	for answer, want := range map[string]int{"n\n": exitNo, "\n": exitNo, "y\n": 0} {
		screen := newTerminal(t, 80, 24)
		if status := screen.run(t, program(t, "wildout", "runs", "replay", failed, url), "Replay 1 run? [y/N]", answer); status != want {
			t.Errorf("the answer %q gives the status %d:\n%s", answer, status, screen)
		}
	}
	if page, err := s.client.Runs(t.Context(), runsOf("refuse")); err != nil || len(page.Runs) != 2 {
		t.Errorf("there are %d runs (%v), want the first and one replay", len(page.Runs), err)
	}

	file := filepath.Join(t.TempDir(), "many")
	write(t, file, strings.Repeat("{}\n", 30_000))
	screen = newTerminal(t, 80, 24)
	if status := screen.run(t, program(t, "wildout", "send", "bulk", "--file", file, url), "", ""); status != 0 {
		t.Errorf("status %d", status)
	}
	if text := screen.String(); !strings.Contains(text, "━") || !regexp.MustCompile(`[0-9]+%  [0-9,]+ events, [0-9,]+/s`).MatchString(escapes.ReplaceAllString(text, "")) || !strings.Contains(text, "sent 30,000 events in") {
		t.Errorf("sending shows %q", text)
	}

	_, record := s.sendFor(t, "order/placed", `{"nr":2}`)
	screen = newTerminal(t, 100, 30)
	if status := screen.run(t, program(t, "wildout", "runs", "watch", record, url), "", ""); status != 0 || !strings.Contains(screen.String(), "\x1b[J") || !strings.Contains(screen.String(), "succeeded in") {
		t.Errorf("watching ends with %d and shows\n%s", status, screen)
	}
	screen = newTerminal(t, 100, 30)
	if status := screen.run(t, program(t, "wildout", "runs", "watch", url), "Ctrl-C ends this", "\x03"); status != exitInterrupted || !strings.Contains(screen.String(), record) {
		t.Errorf("watching all ends with %d and shows\n%s", status, screen)
	}
}
