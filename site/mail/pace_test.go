package mail_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/input"
	"github.com/wildout/wildout/site/mail"
	"github.com/wildout/wildout/site/schema/schematest"
)

func within(n int, period time.Duration) mail.Limit {
	return mail.Limit{Limit: n, Period: input.Duration(period)}
}

// persist calls send as the engine does: again when it is put off.
func persist(send func() (mail.SendOutput, error)) (putOff int, err error) {
	for ; ; putOff++ {
		_, err := send()
		wait, asked := wildout.SnoozeDelay(err)
		if !asked {
			return putOff, err
		}
		time.Sleep(wait)
	}
}

// TestAllTogether: eighty runs send at once, more than either limit has room
// for. Times are those of the SMTP server; being put off costs no attempt.
func TestAllTogether(t *testing.T) {
	limit, total := within(2, 600*time.Millisecond), within(15, 300*time.Millisecond)
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		var group sync.WaitGroup
		var putOff atomic.Int64
		for i := range 80 {
			group.Go(func() {
				key, to := fmt.Sprint("run", i), fmt.Sprintf("reader%d@x.example", i%20)
				in := mail.ReserveInput{Recipient: to, Limit: limit}
				if _, err := s.Reserve(schematest.Step(key, 1), in); err != nil {
					t.Error(err)
				}
				n, err := persist(func() (mail.SendOutput, error) { return sendPaced(s, key, to, limit, total) })
				if err != nil {
					t.Errorf("run %d was an attempt short: %v", i, err)
				}
				putOff.Add(int64(n))
			})
		}
		group.Wait()
		var all []time.Time
		each := map[string][]time.Time{}
		for _, m := range server.Mails() {
			all = append(all, m.At)
			each[m.To] = append(each[m.To], m.At)
		}
		if len(all) != 80 {
			t.Errorf("%d mails arrived, want 80", len(all))
		}
		atMostIn(t, all, 15, 300*time.Millisecond)
		for _, times := range each {
			atMostIn(t, times, 2, 600*time.Millisecond)
		}
		if putOff.Load() == 0 {
			t.Error("nothing was put off: the test proves nothing")
		}
		t.Logf("put off %d times", putOff.Load())
	})
}

// TestTurns: with one mail an hour, each mail gets an hour of its own and
// keeps it, however often it asks.
func TestTurns(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		ask := func(key string, hours int) {
			t.Helper()
			_, err := sendPaced(s, key, key+"@x.example", hourly(9), hourly(1))
			wait, asked := wildout.SnoozeDelay(err)
			if !asked && (hours > 0 || err != nil) || (wait-time.Duration(hours)*time.Hour).Abs() > time.Minute {
				t.Errorf("%s is to ask again in %s (%v), want %d h", key, wait, err, hours)
			}
		}
		for hours, key := range []string{"a", "b", "c"} {
			reserve(t, s, key, key+"@x.example", hourly(9))
			ask(key, hours)
		}
		ask("c", 2)
		ask("b", 1)
		site.Exec(t, "UPDATE email_reservations SET paced_at = $1, occupied_at = $1 WHERE idempotency_key = 'a'",
			time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"))
		reserve(t, s, "d", "d@x.example", hourly(9))
		ask("d", 3) // there is room, but it is for those that wait
		if n := len(server.Mails()); n != 1 {
			t.Errorf("%d mails arrived, want 1", n)
		}
	})
}

// TestRecipientsWaitHoldsUpNobody: what waits for its recipient's window has
// no turn among all.
func TestRecipientsWaitHoldsUpNobody(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		for i := range 6 {
			key := fmt.Sprint("guest", i)
			reserve(t, s, key, guest, hourly(1))
			_, err := sendPaced(s, key, guest, hourly(1), hourly(3))
			if _, asked := wildout.SnoozeDelay(err); asked != (i > 0) {
				t.Errorf("mail %d to the guest: %v", i, err)
			}
		}
		for _, key := range []string{"x", "y"} {
			reserve(t, s, key, key+"@x.example", hourly(1))
			if _, err := sendPaced(s, key, key+"@x.example", hourly(1), hourly(3)); err != nil {
				t.Errorf("mail %s: %v", key, err)
			}
		}
		if n := len(server.Mails()); n != 3 {
			t.Errorf("%d mails arrived, want 3", n)
		}
	})
}

// TestFailedAttemptKeepsItsTurn: another attempt at a mail that may have been
// delivered needs no second place, and the others wait for the first.
func TestFailedAttemptKeepsItsTurn(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		for _, key := range []string{"a", "b"} {
			reserve(t, s, key, key+"@x.example", hourly(9))
		}
		server.Refuse(451)
		if _, err := sendPaced(s, "a", "a@x.example", hourly(9), hourly(1)); err == nil {
			t.Error("the refused mail was sent")
		}
		server.Refuse(0)
		_, err := sendPaced(s, "b", "b@x.example", hourly(9), hourly(1))
		if wait, asked := wildout.SnoozeDelay(err); !asked || wait < 59*time.Minute {
			t.Errorf("the mail behind it: %v", err)
		}
		if _, err := sendPaced(s, "a", "a@x.example", hourly(9), hourly(1)); err != nil {
			t.Errorf("the second attempt: %v", err)
		}
	})
}

// BenchmarkSend has eight runs send at once on PostgreSQL, behind a month of
// mails, to an SMTP server next door: all of them take the lock of the total.
func BenchmarkSend(b *testing.B) {
	site := schematest.Postgres(b)
	site.Exec(b, `INSERT INTO email_reservations (idempotency_key, recipient, send_at, occupied_at, paced_at)
		SELECT 'old' || n, 'reader' || n % 1000 || '@x.example', at, at, at
		FROM (SELECT n, now() - n * interval '13 s' AS at FROM generate_series(1, 200000) n) old`)
	site.Exec(b, "ANALYZE email_reservations")
	s, _ := newService(b, site)
	limit, total := hourly(10), within(100, time.Millisecond) // more than can be sent
	for i := range b.N {
		if _, err := s.Reserve(schematest.Step(fmt.Sprint(i), 1), mail.ReserveInput{Recipient: fmt.Sprintf("new%d@x.example", i), Limit: limit}); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range 8 {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if _, err := sendPaced(s, fmt.Sprint(i), fmt.Sprintf("new%d@x.example", i), limit, total); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}
