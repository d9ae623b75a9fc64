package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client uses the API over HTTP.
type Client struct {
	// URL is where it is served, such as http://127.0.0.1:8288.
	URL string
	// Gateway is where events are sent; "": URL.
	Gateway string
	// Token is sent as a bearer token; "": none.
	Token string
	// HTTP makes the requests; nil: http.DefaultClient.
	HTTP *http.Client
}

// UnreachableError says that nobody answers at a URL.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("nobody answers at %s: is `wildout dev`, or the console of a cluster, running there? (%v)", e.URL, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// RefusedError is an answer that is an error.
type RefusedError struct {
	Status int
	Text   string
	// RetryAfter is what the server asks for; 0: it does not.
	RetryAfter time.Duration
}

func (e *RefusedError) Error() string { return e.Text }

// HTTPStatus returns the status of the answer.
func (e *RefusedError) HTTPStatus() int { return e.Status }

// Functions returns the installed functions by name.
func (c *Client) Functions(ctx context.Context) ([]Function, error) {
	var all []Function
	err := c.get(ctx, "/v1/functions", nil, &all)
	return all, err
}

// Runs returns a page of runs, the newest first.
func (c *Client) Runs(ctx context.Context, q RunQuery) (RunPage, error) {
	statuses := make([]string, len(q.Statuses))
	for i, st := range q.Statuses {
		statuses[i] = string(st)
	}
	v := page(q.Since, q.Until, q.Cursor, q.Limit)
	set(v, "function", q.Function)
	set(v, "status", strings.Join(statuses, ","))
	set(v, "eventType", q.EventType)
	set(v, "event", q.EventID)
	set(v, "text", q.Text)
	var p RunPage
	err := c.get(ctx, "/v1/runs", v, &p)
	return p, err
}

// Run returns one run.
func (c *Client) Run(ctx context.Context, id string) (*RunDetail, error) {
	run := &RunDetail{}
	err := c.get(ctx, "/v1/runs/"+url.PathEscape(id), nil, run)
	return run, err
}

// Cancel ends a run that has not ended.
func (c *Client) Cancel(ctx context.Context, id, reason string) error {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return fmt.Errorf("the reason cannot be sent: %w", err)
	}
	return c.do(ctx, http.MethodPost, c.URL, "/v1/runs/"+url.PathEscape(id)+"/cancel", body, nil, &started{})
}

// Replay starts a run anew and returns the id of the new one.
func (c *Client) Replay(ctx context.Context, id string) (string, error) {
	var answer started
	err := c.do(ctx, http.MethodPost, c.URL, "/v1/runs/"+url.PathEscape(id)+"/replay", []byte("{}"), nil, &answer)
	return answer.ID, err
}

// Events returns a page of events, the newest first.
func (c *Client) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	v := page(q.Since, q.Until, q.Cursor, q.Limit)
	set(v, "type", q.Type)
	var p EventPage
	err := c.get(ctx, "/v1/events", v, &p)
	return p, err
}

// Event returns an event with what it started; eventType may be empty.
func (c *Client) Event(ctx context.Context, eventType, id string) (*EventDetail, error) {
	v := url.Values{}
	set(v, "type", eventType)
	e := &EventDetail{}
	err := c.get(ctx, "/v1/events/"+url.PathEscape(id), v, e)
	return e, err
}

// EventRuns returns the runs that an event started.
func (c *Client) EventRuns(ctx context.Context, eventType, id string) (*EventRuns, error) {
	runs := &EventRuns{}
	err := c.get(ctx, "/v1/events/"+url.PathEscape(id)+"/runs", url.Values{"type": {eventType}}, runs)
	return runs, err
}

// EventTypes returns the event types that are known, by name.
func (c *Client) EventTypes(ctx context.Context) ([]EventType, error) {
	var all []EventType
	err := c.get(ctx, "/v1/event-types", nil, &all)
	return all, err
}

// Send posts events in the form of the Inngest event API and returns their ids.
func (c *Client) Send(ctx context.Context, key string, body []byte) ([]string, error) {
	return c.SendWith(ctx, key, body, nil)
}

// SendWith is Send with more headers.
func (c *Client) SendWith(ctx context.Context, key string, body []byte, header http.Header) ([]string, error) {
	var answer struct {
		IDs []string `json:"ids"`
	}
	base := c.Gateway
	if base == "" {
		base = c.URL
	}
	err := c.do(ctx, http.MethodPost, base, "/e/"+url.PathEscape(key), body, header, &answer)
	return answer.IDs, err
}

// Follow calls each once it is Connected, and then for every change, until ctx
// ends, each returns false, or the connection breaks; then the error says so, and
// a call with Filter.After of the last change goes on where this one ended.
func (c *Client) Follow(ctx context.Context, f Filter, each func(Change) bool) error {
	v := url.Values{}
	kinds := make([]string, len(f.Kinds))
	for i, kind := range f.Kinds {
		kinds[i] = string(kind)
	}
	set(v, "kind", strings.Join(kinds, ","))
	set(v, "function", f.Function)
	set(v, "eventType", f.EventType)
	set(v, "run", f.RunID)
	set(v, "after", f.After)
	res, err := c.request(ctx, http.MethodGet, c.URL, "/v1/stream?"+v.Encode(), nil, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if !each(Change{ID: f.After, Kind: Connected}) {
		return nil
	}
	err = readChanges(res.Body, each)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &UnreachableError{c.URL, err}
	}
	return nil
}

// maxLine bounds a line of a stream, in bytes.
const maxLine = 4 << 20

// readChanges reads server-sent events. No error means that each had enough.
func readChanges(body io.Reader, each func(Change) bool) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	id := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			id = value
		case "data":
			c := Change{ID: id}
			if err := json.Unmarshal([]byte(value), &c); err != nil {
				return fmt.Errorf("a change cannot be read: %w", err)
			}
			if !each(c) {
				return nil
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// page makes the parameters that all lists have.
func page(since, until time.Time, cursor string, limit int) url.Values {
	v := url.Values{}
	for name, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			v.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	set(v, "cursor", cursor)
	if limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return v
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, c.URL, path, nil, nil, into)
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

func (c *Client) do(ctx context.Context, method, base, path string, body []byte, header http.Header, into any) error {
	res, err := c.request(ctx, method, base, path, body, header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &UnreachableError{base, err}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answered something else than wildout does: %w", base, err)
	}
	return nil
}

// request makes a request whose answer is not an error.
func (c *Client) request(ctx context.Context, method, base, path string, body []byte, header http.Header) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		content = strings.NewReader(string(body))
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, content)
	if err != nil {
		return nil, fmt.Errorf("the URL %q cannot be used: %w", base, err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err // the URL may hold a key
		}
		return nil, &UnreachableError{base, err}
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		defer res.Body.Close()
		return nil, refused(base, res)
	}
	return res, nil
}

// refused makes an error of an answer that is one.
func refused(base string, res *http.Response) error {
	e := &RefusedError{Status: res.StatusCode, Text: fmt.Sprintf("%s answered %s: is this wildout?", base, res.Status)}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var p problemBody
	if json.Unmarshal(text, &p) == nil && p.Error != "" {
		e.Text = p.Error
	}
	return e
}
