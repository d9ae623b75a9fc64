package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/wildout/wildout/cmd/wildout/internal/dev"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/site/schema"
)

// demoEvents has each of the six types; the sample rows fit them.
var demoEvents = []struct{ about, name, data string }{
	{"Mara registers", "user/registered", `{"userId":"user-mara","email":"mara@wildout.example"}`},
	{"a party is added", "event/created", `{"eventId":"event-lanterns","title":"Night of Lanterns","createdBy":"user-ada"}`},
	{"a login fails", "audit/log", `{"action":"LOGIN_FAILURE","userId":"user-bela","ip":"192.0.2.7"}`},
	{"a login fails", "audit/log", `{"action":"LOGIN_FAILURE","userId":"user-bela","ip":"192.0.2.7"}`},
	{"a login fails for the third time: an alert", "audit/log", `{"action":"LOGIN_FAILURE","userId":"user-bela","ip":"192.0.2.7"}`},
	{"personal data is exported: marked for compliance", "audit/log", `{"action":"DATA_EXPORT","userId":"user-chidi"}`},
	{"a mail to one", "email/send", `{"to":"ada@wildout.example","subject":"Your tickets","body":"They are attached to nothing."}`},
	{"a mail to many", "email/send", `{"recipients":["ada@wildout.example","bela@wildout.example","chidi@wildout.example"],"subject":"This weekend","body":"Brass on the Pier, Saturday at eight."}`},
	{"somebody else raises an alert", "security/alert", `{"type":"login_from_new_country","userId":"user-chidi","severity":"MEDIUM"}`},
	{"an operator asks for a health check", "system/maintenance", `{"task":"health-check"}`},
}

// demoTimeout bounds the wait for the runs of the demo.
const demoTimeout = 30 * time.Second

// demo seeds the site, sends one event of each type and writes what came of it.
func demo(ctx context.Context, out io.Writer, s *dev.Server) error {
	site, err := s.Handlers().Site()
	if err != nil {
		return err
	}
	if err := site.Seed(ctx); err != nil {
		return err
	}
	client := &console.Client{URL: s.About().URL}
	for _, e := range demoEvents {
		body, err := json.Marshal(map[string]any{"name": e.name, "data": json.RawMessage(e.data)})
		if err != nil {
			return fmt.Errorf("event of the demo: %w", err)
		}
		ids, err := client.Send(ctx, "demo", body)
		if err != nil {
			return err
		}
		if _, err := awaitRuns(ctx, client, e.name, ids[0], demoTimeout); err != nil {
			return err
		}
	}
	if err := awaitQuiet(ctx, client); err != nil {
		return err
	}
	var report bytes.Buffer // written at once: log lines go the same way
	r := reporter{&report, term.StyleFor(out)}
	if err := errors.Join(r.runs(ctx, client), r.mails(s), r.audit(ctx, s), r.alerts(ctx, s)); err != nil {
		return err
	}
	r.title("Now it is your turn", "Ctrl-C ends this")
	url := ""
	if s.About().URL != defaultURL {
		url = " --url " + s.About().URL
	}
	fmt.Fprintf(&report, "  bin/wildout send user/registered --wait --data '{\"userId\":\"u1\",\"email\":\"u1@example.com\"}'%s\n", url)
	fmt.Fprintf(&report, "  bin/wildout runs list%s\n  bin/wildout functions%s\n\n", url, url)
	_, err = out.Write(report.Bytes())
	return err
}

// awaitQuiet waits until no run is at work: alerts and invoked runs too.
func awaitQuiet(ctx context.Context, client *console.Client) error {
	deadline := time.Now().Add(demoTimeout)
	for quiet := 0; quiet < 3; {
		all, err := client.Functions(ctx)
		if err != nil {
			return err
		}
		quiet++
		for _, f := range all {
			if f.Backlog() > 0 || f.Pending > 0 {
				quiet = 0
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the runs of the demo had not ended after %s", demoTimeout)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reporter writes the parts of the report.
type reporter struct {
	w     io.Writer
	style term.Style
}

func (r *reporter) title(text, note string) {
	fmt.Fprintf(r.w, "\n%s  %s\n", r.style.Bold(text), r.style.Dim(note))
}

// runs writes the runs under the events that started them.
func (r *reporter) runs(ctx context.Context, client *console.Client) error {
	page, err := client.Runs(ctx, console.RunQuery{Limit: console.MaxLimit})
	if err != nil {
		return err
	}
	all := page.Runs
	for i := range all {
		if all[i].EndedAt != nil {
			continue
		}
		// A list does not show what a run that has not ended has done.
		record, err := client.Run(ctx, all[i].ID)
		if err != nil {
			return err
		}
		all[i].Steps = record.Done()
	}
	slices.SortStableFunc(all, func(a, b run.Record) int { return a.StartedAt.Compare(b.StartedAt) })
	var types []string
	for i := range all {
		if !slices.Contains(types, all[i].EventType) {
			types = append(types, all[i].EventType)
		}
	}
	for _, t := range types {
		var notes []string
		if t == event.InvokeType {
			notes = []string{"started by runs, with invoke"}
		}
		for _, e := range demoEvents {
			if e.name == t && !slices.Contains(notes, e.about) {
				notes = append(notes, e.about)
			}
		}
		r.title(t, strings.Join(notes, "; "))
		for i := range all {
			if all[i].EventType == t {
				r.style.RunBrief(r.w, &all[i], time.Now())
			}
		}
	}
	return nil
}

func (r *reporter) mails(s *dev.Server) error {
	mails := s.Mails()
	r.title("Mails", fmt.Sprintf("%d, as the SMTP server got them", len(mails)))
	t := term.Table{Indent: "  "}
	for _, m := range mails {
		t.Texts(strings.Join(m.To, ", "), m.Subject)
	}
	return t.Write(r.w)
}

func (r *reporter) audit(ctx context.Context, s *dev.Server) error {
	r.title("Audit log", "the table audit_log")
	return r.table(ctx, s, "SELECT created_at, user_id, action, record_id, CASE WHEN compliance THEN 'compliance' ELSE '' END FROM audit_log ORDER BY created_at, id")
}

func (r *reporter) alerts(ctx context.Context, s *dev.Server) error {
	r.title("Security alerts", "the table security_alerts")
	return r.table(ctx, s, "SELECT created_at, severity, type, user_id FROM security_alerts ORDER BY created_at, id")
}

// table writes the rows of a query whose first column is a time and whose
// others are texts.
func (r *reporter) table(ctx context.Context, s *dev.Server, query string) error {
	rows, err := s.Handlers().DB.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	t := term.Table{Indent: "  "}
	for rows.Next() {
		var at schema.Time
		texts := make([]string, len(columns))
		into := []any{&at}
		for i := range texts[1:] {
			into = append(into, &texts[i+1])
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		texts[0] = at.Local().Format("15:04:05.000")
		t.Texts(texts...)
	}
	return errors.Join(rows.Err(), t.Write(r.w))
}
