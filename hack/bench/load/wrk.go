package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

//go:embed post.lua
var script string

// blast is one run of wrk.
type blast struct {
	url         string
	body        string
	connections int
	// pause is the mean time between two requests of a connection; 0: none.
	pause    time.Duration
	duration time.Duration
	header   []string // name, value, ...
}

// result is what wrk counted. Micros and latencies are microseconds.
type result struct {
	Requests, Micros, Refused, Broken int64
	P50, P99                          int64
}

// accepted is how many answers were 2xx.
func (r result) accepted() int64 { return r.Requests - r.Refused }

// perSecond is the rate of the answers with 2xx.
func (r result) perSecond() float64 { return float64(r.accepted()) / (float64(r.Micros) / 1e6) }

// offered is the rate of all answers.
func (r result) offered() float64 { return float64(r.Requests) / (float64(r.Micros) / 1e6) }

var resultLine = regexp.MustCompile(`RESULT (\{.*\})`)

func (s *session) wrk(ctx context.Context, b blast) (result, error) {
	var r result
	path := filepath.Join(s.dir, "post.lua")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		return r, err
	}
	args := []string{"-t", strconv.Itoa(min(2, b.connections)), "-c", strconv.Itoa(b.connections), "-d", strconv.Itoa(int(b.duration.Seconds())) + "s",
		"--timeout", "10s", "-s", path, b.url, "--", strconv.FormatInt(b.pause.Milliseconds(), 10), b.body}
	output, err := exec.CommandContext(ctx, "wrk", append(args, b.header...)...).CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("wrk: %w\n%s", err, output)
	}
	line := resultLine.FindSubmatch(output)
	if line == nil {
		return r, fmt.Errorf("wrk said nothing of its result:\n%s", output)
	}
	err = json.Unmarshal(line[1], &r)
	return r, err
}
