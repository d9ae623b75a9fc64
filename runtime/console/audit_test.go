package console_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
)

type caller struct{}

func TestEachActLeavesALine(t *testing.T) {
	var log bytes.Buffer
	allowed := true
	r := newRig(t, func(o *console.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Who = func(ctx context.Context) string { who, _ := ctx.Value(caller{}).(string); return who }
		o.Authorize = func(context.Context, console.Action) error {
			if allowed {
				return nil
			}
			return context.Canceled
		}
		o.Send = func(_ context.Context, events []*event.Event) error { events[0].ID = "e1"; return nil }
	})
	ctx := context.WithValue(t.Context(), caller{}, "mara")
	for _, allowed = range []bool{true, false} {
		_, _ = r.service.Send(ctx, []*event.Event{{Type: "hello", Data: []byte(`{"secret":"hush"}`)}})
		_ = r.service.Cancel(ctx, "r1", "mistake")
		_, _ = r.service.Replay(ctx, "r2")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{
		"msg=audit action=send who=mara ok=true types=[hello] events=[e1]",
		"msg=audit action=cancel who=mara ok=false run=r1 reason=mistake", // there is no such run
		"msg=audit action=replay who=mara ok=false run=r2",
		"msg=audit action=send who=mara ok=false types=[hello]",
		"msg=audit action=cancel who=mara ok=false run=r1",
		"msg=audit action=replay who=mara ok=false run=r2",
	} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d of\n%s\nwant %s", i, log.String(), want)
		}
	}
	if strings.Contains(log.String(), "hush") {
		t.Errorf("the log has the data of an event: %s", log.String())
	}
}
