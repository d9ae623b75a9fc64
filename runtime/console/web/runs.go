package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// pageSize is how many rows a page of a list has, and nextSize how many the
// pages after the first have, which are put below it.
const (
	pageSize = 60
	nextSize = 200
)

// statuses are those to filter by, in the order of a life.
var statuses = []string{"running", "waiting", "succeeded", "failed", "cancelled", "rejected"}

// choice is an entry of a select.
type choice struct{ Value, Name string }

// spans are the stretches of time to filter by.
var spans = []choice{{"", "Any time"}, {"5m", "Last 5 minutes"}, {"1h", "Last hour"}, {"24h", "Last 24 hours"}, {"168h", "Last 7 days"}}

// runsBody is the page of the list of runs.
type runsBody struct {
	Page      console.RunPage
	Query     console.RunQuery
	Status    string
	Since     string
	Functions []string
	Types     []string
	Older     string // address of the next page
	OlderText string
	Empty     emptyState
}

// Statuses and Times are what the filters offer.
func (*runsBody) Statuses() []string { return statuses }

// Times are the stretches of time to filter by.
func (*runsBody) Times() []choice { return spans }

// runQuery reads the filters from an address.
func runQuery(v url.Values, now time.Time) (console.RunQuery, error) {
	q := console.RunQuery{Function: v.Get("function"), EventType: v.Get("type"), Text: strings.TrimSpace(v.Get("text")), Cursor: v.Get("cursor"), Limit: pageSize}
	if q.Cursor != "" {
		q.Limit = nextSize
	}
	if status := v.Get("status"); status != "" {
		if !slices.Contains(statuses, status) {
			return q, &console.Problem{Status: http.StatusBadRequest, Text: fmt.Sprintf("The status %q is none of %s.", clip(status, 40), strings.Join(statuses, ", "))}
		}
		q.Statuses = []run.Status{run.Status(status)}
	}
	if since := v.Get("since"); since != "" {
		d, err := time.ParseDuration(since)
		if err != nil || d <= 0 {
			return q, &console.Problem{Status: http.StatusBadRequest, Text: fmt.Sprintf("since is %q: want a duration such as 1h.", clip(since, 40))}
		}
		q.Since = now.Add(-d)
	}
	if until := v.Get("until"); until != "" {
		at, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return q, &console.Problem{Status: http.StatusBadRequest, Text: fmt.Sprintf("until is %q: want a time such as 2030-01-02T15:04:05Z.", clip(until, 40))}
		}
		q.Until = at
	}
	return q, nil
}

// runs shows the list.
func (s *Site) runs(r *request) error {
	values := r.URL.Query()
	query, err := runQuery(values, time.Now())
	if err != nil {
		return err
	}
	if isID(query.Text) {
		if record, err := s.source.Run(r.Context(), query.Text); err == nil {
			http.Redirect(r.w, r.Request, runLink(record.Function, record.ID), http.StatusSeeOther)
			return nil
		}
		query.EventID, query.Text = query.Text, ""
	}
	body := &runsBody{Query: query, Status: values.Get("status"), Since: values.Get("since"), Empty: noRuns}
	if body.Page, err = s.source.Runs(r.Context(), query); err != nil {
		return err
	}
	if body.Status+body.Since+query.Function+query.EventType+query.Text+query.EventID+query.Cursor != "" || !query.Until.IsZero() {
		body.Empty = noneFit
	}
	if body.Page.Next != "" {
		body.OlderText = "Older runs"
		next := clone(values)
		next.Set("cursor", body.Page.Next)
		body.Older = "/runs?" + next.Encode()
		if len(body.Page.Runs) == 0 && body.Page.Back != nil {
			body.OlderText = "Look further back"
			body.Empty.Title = "None found yet"
			body.Empty.Text = "Looked back to " + body.Page.Back.UTC().Format("2006-01-02 15:04:05 UTC") + "."
		}
	}
	if body.Functions, body.Types, err = s.filters(r.Context()); err != nil {
		return err
	}
	live := ""
	if query.Cursor == "" && query.Until.IsZero() {
		live = liveAddress("runs", values)
	}
	return s.show(r, "runs", "Runs", live, body)
}

// isID reports whether a text is the id of a run, or one that an event got here.
func isID(text string) bool {
	_, ok := event.IDTime(text)
	return ok
}

// filters returns the functions and event types to filter by.
func (s *Site) filters(ctx context.Context) (functions, types []string, err error) {
	all, err := s.source.Functions(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		functions = append(functions, all[i].Name)
	}
	declared, err := s.source.EventTypes(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range declared {
		types = append(types, declared[i].Type)
	}
	return functions, types, nil
}

// liveAddress is that of a page's stream: what it shows, without its place in
// a list.
func liveAddress(page string, values url.Values) string {
	v := clone(values)
	for _, name := range []string{"cursor", "until", "ask", "sent"} {
		v.Del(name)
	}
	if len(v) == 0 {
		return "/live/" + page
	}
	return "/live/" + page + "?" + v.Encode()
}

func clone(values url.Values) url.Values {
	c := url.Values{}
	for name, list := range values {
		if len(list) > 0 && list[0] != "" {
			c.Set(name, list[0])
		}
	}
	return c
}
