package inspect

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Lacking are the runs of a function that wait for code that no runner had.
type Lacking struct {
	Runs int64
	// Code is what some of them wait for, each once, in a fixed order.
	Code []run.Lack
}

// lackingReader are the commands that ask for a Lacking.
type lackingReader struct {
	runs *redis.IntCmd
	some *redis.ScanCmd
}

// lackingPage is how many of the runs are looked at.
const lackingPage = 100

func askLacking(ctx context.Context, pipe redis.Pipeliner, k store.Keys, function string) lackingReader {
	return lackingReader{pipe.HLen(ctx, k.Lacking(function)), pipe.HScan(ctx, k.Lacking(function), 0, "", lackingPage)}
}

func (r *lackingReader) err() error { return errors.Join(r.runs.Err(), r.some.Err()) }

func (r *lackingReader) read() Lacking {
	l := Lacking{Runs: r.runs.Val()}
	fields, _ := r.some.Val()
	var texts []string
	for i := 1; i < len(fields); i += 2 {
		texts = append(texts, fields[i])
	}
	slices.Sort(texts)
	for _, text := range slices.Compact(texts) {
		l.Code = append(l.Code, *run.ParseLack(text))
	}
	return l
}
