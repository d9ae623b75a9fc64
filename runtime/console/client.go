package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/wildout/wildout/runtime/store"
)

// Client reads the API over HTTP.
type Client struct {
	// URL is where it is served, such as http://127.0.0.1:8288.
	URL string
	// HTTP makes the requests; nil: http.DefaultClient.
	HTTP *http.Client
}

// Query says which runs to list. Empty fields select nothing out.
type Query struct {
	Function string
	Status   store.Status
	Limit    int
}

// Functions returns the installed functions by name.
func (c *Client) Functions(ctx context.Context) ([]Function, error) {
	var all []Function
	err := c.get(ctx, "/v1/functions", nil, &all)
	return all, err
}

// Runs returns runs, the newest first.
func (c *Client) Runs(ctx context.Context, q Query) ([]store.Record, error) {
	values := url.Values{}
	for name, value := range map[string]string{"function": q.Function, "status": string(q.Status)} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	var all []store.Record
	err := c.get(ctx, "/v1/runs", values, &all)
	return all, err
}

// Run returns one run.
func (c *Client) Run(ctx context.Context, id string) (*store.Record, error) {
	run := &store.Record{}
	return run, c.get(ctx, "/v1/runs/"+url.PathEscape(id), nil, run)
}

// EventRuns returns the runs that an event started.
func (c *Client) EventRuns(ctx context.Context, eventType, id string) (*EventRuns, error) {
	runs := &EventRuns{}
	return runs, c.get(ctx, "/v1/events/"+url.PathEscape(id)+"/runs", url.Values{"type": {eventType}}, runs)
}

// Send posts events in the wire form of the gateway and returns their ids.
func (c *Client) Send(ctx context.Context, key string, body []byte) ([]string, error) {
	var answer struct {
		IDs []string `json:"ids"`
	}
	err := c.do(ctx, http.MethodPost, "/e/"+url.PathEscape(key), strings.NewReader(string(body)), &answer)
	return answer.IDs, err
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, into)
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return fmt.Errorf("the URL %q cannot be used: %w", c.URL, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("nobody answers at %s: is `wildout dev` running? (%w)", c.URL, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.URL, err)
	}
	if res.StatusCode != http.StatusOK {
		return refused(c.URL, res.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answered something else than wildout does: %w", c.URL, err)
	}
	return nil
}

// refused makes an error of an answer that is one.
func refused(base, status string, text []byte) error {
	var p problem
	if json.Unmarshal(text, &p) == nil && p.Error != "" {
		return errors.New(p.Error)
	}
	return fmt.Errorf("%s answered %s: is this wildout?", base, status)
}
