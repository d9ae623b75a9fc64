package guard

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
)

// What a server may send, and what comes of it: the words cost as much as is
// announced, before it is there.
func TestAnswers(t *testing.T) {
	deep := strings.Repeat("*1\r\n", maxDepth) + "+OK\r\n"
	for name, test := range map[string]struct {
		sent string
		want error
	}{
		"nothing":                  {"", nil},
		"a status":                 {"+OK\r\n", nil},
		"an error":                 {"-ERR no\r\n", nil},
		"a number":                 {":-7\r\n", nil},
		"a text":                   {"$5\r\na\r\nbc\r\n", nil},
		"an empty text":            {"$0\r\n\r\n", nil},
		"no text":                  {"$-1\r\n", nil},
		"an array":                 {"*2\r\n$1\r\na\r\n*0\r\n", nil},
		"no array":                 {"*-1\r\n", nil},
		"RESP 3":                   {"%1\r\n+a\r\n#t\r\n~1\r\n_\r\n,1.5\r\n(12345678901234567890\r\n=5\r\ntxt:a\r\n!3\r\nERR\r\n>1\r\n+m\r\n|1\r\n+k\r\n+v\r\n:1\r\n", nil},
		"what looks like a header": {"$4\r\n$9\r\n\r\n+OK\r\n", nil},
		"one after another":        {"+OK\r\n$1\r\na\r\n*1\r\n:1\r\n", nil},
		"as deep as may be":        {deep, nil},

		"2^63-8 bytes":         {"$9223372036854775800\r\n", ErrTooMuch},
		"2^64 bytes":           {"$18446744073709551616\r\n", ErrTooMuch},
		"8 GiB":                {"$8589934592\r\n", ErrTooMuch},
		"2^63-8 elements":      {"*9223372036854775800\r\n", ErrTooMuch},
		"2^40 pairs":           {"%1099511627776\r\n", ErrTooMuch},
		"as many in parts":     {strings.Repeat("*100000\r\n", 10), ErrTooMuch},
		"as much in parts":     {strings.Repeat("$1000000\r\n"+strings.Repeat("x", 1_000_000)+"\r\n", 9), ErrTooMuch},
		"many small ones":      {"*200000\r\n", ErrTooMuch},
		"endless":              {"*-1\r\n" + strings.Repeat(":1\r\n", 200_000), ErrTooMuch},
		"too deep":             {"*1\r\n" + deep, ErrTooMuch},
		"a long line":          {"+" + strings.Repeat("x", maxLine+1), ErrTooMuch},
		"a long line, whole":   {"+" + strings.Repeat("x", maxLine+1) + "\r\n", ErrTooMuch},
		"a web server":         {"HTTP/1.1 400 Bad Request\r\n\r\n", ErrNotRedis},
		"a mail server":        {"220 mail.example.com ESMTP secret\r\n", ErrNotRedis},
		"a key":                {"SSH-2.0-OpenSSH_9.9", ErrNotRedis},
		"an empty line":        {"\r\n", ErrNotRedis},
		"a length of words":    {"$many\r\n", ErrNotRedis},
		"a length below none":  {"$-2\r\n", ErrNotRedis},
		"a count of words":     {"*many\r\n", ErrNotRedis},
		"a count below none":   {"*-2\r\n", ErrNotRedis},
		"a text of any length": {"$?\r\n", ErrNotRedis},
	} {
		t.Run(name, func(t *testing.T) {
			sizes := []int{1, 7, 4096, 1 << 20}
			if len(test.sent) > 1<<16 {
				sizes = sizes[2:]
			}
			for _, size := range sizes {
				got, err := answer(New(Options{}), []byte(test.sent), size)
				if !errors.Is(err, test.want) && (test.want != nil || !errors.Is(err, io.EOF)) {
					t.Fatalf("in parts of %d bytes: %v, want %v", size, err, test.want)
				}
				if test.want == nil && string(got) != test.sent {
					t.Fatalf("in parts of %d bytes it became %q", size, got)
				}
			}
		})
	}
}

// answer is what a client reads that has asked once, in parts of that size.
func answer(g *Guard, sent []byte, size int) ([]byte, error) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn := &guarded{Conn: ours, guard: g}
	defer conn.Close()
	go func() {
		defer theirs.Close()
		_, _ = bufio.NewReader(theirs).ReadString('\n')
		for len(sent) > 0 {
			n, err := theirs.Write(sent[:min(size, len(sent))])
			if err != nil {
				return
			}
			sent = sent[n:]
		}
	}()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return nil, err
	}
	var all []byte
	part := make([]byte, 32<<10)
	for {
		n, err := conn.Read(part)
		all = append(all, part[:n]...)
		if err != nil {
			return all, err
		}
	}
}

// What was announced is known wherever the parts are cut.
func TestPartsDoNotMatter(t *testing.T) {
	text := []byte("*3\r\n$3\r\nabc\r\n%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n|1\r\n+a\r\n+b\r\n$-1\r\n+OK\r\n-ERR\r\n")
	var whole meter
	if err := whole.read(text); err != nil {
		t.Fatal(err)
	}
	if len(whole.open) > 0 || whole.skip > 0 || len(whole.line) > 0 {
		t.Errorf("it is not at an end: %+v", whole)
	}
	for range 200 {
		var m meter
		for rest := text; len(rest) > 0; {
			n := 1 + rand.IntN(len(rest))
			if err := m.read(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if m.spent != whole.spent || len(m.open) > 0 {
			t.Fatalf("it costs %d, and whole %d", m.spent, whole.spent)
		}
	}
}

// Each request has a budget of its own.
func TestBudgetOfARequest(t *testing.T) {
	g := New(Options{Answer: 1000, Small: 1, Pool: 2000})
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn := &guarded{Conn: ours, guard: g}
	go func() {
		requests := bufio.NewReader(theirs)
		for {
			size, err := requests.ReadString('\n')
			if err != nil {
				return
			}
			var n int
			if _, err := fmt.Sscan(size, &n); err != nil {
				return
			}
			fmt.Fprintf(theirs, "$%d\r\n%s\r\n", n, strings.Repeat("x", n))
		}
	}()
	ask := func(n int) error {
		if _, err := fmt.Fprintf(conn, "%d\n", n); err != nil {
			return err
		}
		want := n + len(fmt.Sprintf("$%d\r\n\r\n", n))
		_, err := io.ReadFull(conn, make([]byte, want))
		return err
	}
	for range 5 {
		if err := ask(900); err != nil {
			t.Fatal(err)
		}
		if taken := 2000 - g.left; taken < 900 || taken > 1000 {
			t.Errorf("%d are taken from the pool", taken)
		}
	}
	if err := ask(1100); !errors.Is(err, ErrTooMuch) {
		t.Errorf("more than the budget: %v", err)
	}
	if err := ask(1); err == nil {
		t.Error("the connection goes on after an answer that was too large")
	}
	if g.left != 2000 {
		t.Errorf("%d are left in the pool, want 2000", g.left)
	}
	conn.Close()
	conn.Close()
	if g.left != 2000 {
		t.Errorf("after Close %d are left in the pool, want 2000", g.left)
	}
}

// All together stay within the pool, and small answers always come through.
func TestPool(t *testing.T) {
	g := New(Options{Answer: 1000, Small: 200, Pool: 1000})
	read := func(size int) (*guarded, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		conn := &guarded{Conn: ours, guard: g}
		go func() { fmt.Fprintf(theirs, "$%d\r\n", size) }()
		_, err := conn.Read(make([]byte, 100))
		return conn, err
	}
	first, err := read(800)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(800); !errors.Is(err, ErrCrowded) {
		t.Errorf("beyond the pool: %v", err)
	}
	small, err := read(100)
	if err != nil {
		t.Errorf("a small one: %v", err)
	}
	first.Close()
	small.Close()
	if g.left != 1000 {
		t.Errorf("%d are left, want 1000", g.left)
	}
	if _, err := read(800); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	redis := servicetest.StartRedis(t)
	_, port, _ := net.SplitHostPort(redis.Addr)
	for name, test := range map[string]struct {
		allowed []string
		host    string
		want    error
	}{
		"any":            {nil, "127.0.0.1", nil},
		"this one":       {[]string{"10.0.0.0/8", "127.0.0.1/32"}, "127.0.0.1", nil},
		"by its name":    {[]string{"127.0.0.0/8", "::1/128"}, "localhost", nil},
		"another one":    {[]string{"10.0.0.0/8"}, "127.0.0.1", ErrAddress},
		"a name of one":  {[]string{"10.0.0.0/8"}, "localhost", ErrAddress},
		"in other words": {[]string{"127.0.0.0/8"}, "::ffff:127.0.0.1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var prefixes []netip.Prefix
			for _, text := range test.allowed {
				prefixes = append(prefixes, netip.MustParsePrefix(text))
			}
			conn, err := New(Options{Addresses: prefixes}).Dial(t.Context(), "tcp", net.JoinHostPort(test.host, port), nil)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if err == nil {
				conn.Close()
			}
		})
	}
}

func TestTLS(t *testing.T) {
	authority := servicetest.NewAuthority(t, "ours")
	redis := servicetest.StartRedis(t, servicetest.TLS(t, authority))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.CA)
	g := New(Options{})
	conn, err := g.Dial(t.Context(), "tcp", redis.Addr, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PING\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "+PONG\r\n" {
		t.Errorf("it says %q, %v", line, err)
	}
	var unknown x509.UnknownAuthorityError
	if _, err := g.Dial(t.Context(), "tcp", redis.Addr, &tls.Config{}); !errors.As(err, &unknown) {
		t.Errorf("an authority that is not trusted: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Dial(ctx, "tcp", redis.Addr, &tls.Config{RootCAs: roots}); err == nil {
		t.Error("it connects after its context has ended")
	}
}

// Whatever comes, the meter neither panics nor takes more than a line with it.
func FuzzMeter(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nabc\r\n:1\r\n"), 3)
	f.Add([]byte("|1\r\n+k\r\n+v\r\n%1\r\n+a\r\n_\r\n"), 1)
	f.Add([]byte("$9223372036854775807\r\n"), 5)
	f.Fuzz(func(t *testing.T, sent []byte, size int) {
		var m meter
		for size = max(size%64, 1); len(sent) > 0; {
			n := min(size, len(sent))
			if m.read(sent[:n]) != nil {
				return
			}
			sent = sent[n:]
			if m.spent < 0 || m.skip < 0 || len(m.open) > maxDepth || len(m.line) > maxLine {
				t.Fatalf("%+v", m)
			}
		}
	})
}
