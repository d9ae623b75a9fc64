package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An account is what was spent up to a moment: by the server since it
// started, by this process since it started.
type account struct {
	at        time.Time
	serverCPU time.Duration
	workerCPU time.Duration
	sent      int64            // commands that newClient's clients sent
	executed  map[string]int64 // calls by command, those inside scripts too
}

// take reads both accounts.
func (s *server) take(ctx context.Context, sent *sentCounter) (account, error) {
	info, err := s.info(ctx, "cpu", "commandstats")
	if err != nil {
		return account{}, err
	}
	a := account{sent: sent.total(), executed: map[string]int64{}}
	for key, value := range info {
		switch {
		case key == "used_cpu_sys", key == "used_cpu_user":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return account{}, fmt.Errorf("INFO cpu: %s: %w", key, err)
			}
			a.serverCPU += time.Duration(seconds * float64(time.Second))
		case strings.HasPrefix(key, "cmdstat_") && key != "cmdstat_info": // INFO is bench's own
			calls, err := parseCalls(value)
			if err != nil {
				return account{}, fmt.Errorf("INFO commandstats: %s: %w", key, err)
			}
			a.executed[strings.TrimPrefix(key, "cmdstat_")] = calls
		}
	}
	if a.workerCPU, err = processCPU(); err != nil {
		return account{}, err
	}
	a.at = time.Now()
	return a, nil
}

// parseCalls reads "calls=12,usec=…".
func parseCalls(stats string) (int64, error) {
	first, _, _ := strings.Cut(stats, ",")
	calls, ok := strings.CutPrefix(first, "calls=")
	if !ok {
		return 0, fmt.Errorf("%q does not begin with calls=", stats)
	}
	return strconv.ParseInt(calls, 10, 64)
}

// usedMemory is what the server has allocated, in bytes, less the buffers of
// connections and of the append-only file, once every connection but our own
// is gone: those are large and are no system's keys.
func (s *server) usedMemory(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		info, err := s.info(ctx, "memory", "clients")
		if err != nil {
			return 0, err
		}
		if info["connected_clients"] == "1" {
			return memoryOfKeys(info)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s connections are still open, want only bench's own: a system did not close its clients", info["connected_clients"])
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// memoryOfKeys computes it from INFO memory.
func memoryOfKeys(info map[string]string) (int64, error) {
	var n [3]int64
	for i, key := range []string{"used_memory", "mem_clients_normal", "mem_aof_buffer"} {
		var err error
		if n[i], err = strconv.ParseInt(info[key], 10, 64); err != nil {
			return 0, fmt.Errorf("INFO memory: %s: %w", key, err)
		}
	}
	return n[0] - n[1] - n[2], nil
}

// info reads sections of INFO into one map.
func (s *server) info(ctx context.Context, sections ...string) (map[string]string, error) {
	text, err := s.rdb.Info(ctx, sections...).Result()
	if err != nil {
		return nil, fmt.Errorf("read INFO %s: %w", strings.Join(sections, " "), err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[key] = value
		}
	}
	return fields, nil
}

// processCPU is the CPU time of this process, user and system.
func processCPU() (time.Duration, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0, fmt.Errorf("read the CPU time of this process: %w", err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), nil
}
