package templates_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/mail/smtptest"
)

// TestTemplates sends every mail with the variables that the manifests give.
func TestTemplates(t *testing.T) {
	server := smtptest.Start(t)
	mailer := server.Mailer(t)
	for name, c := range map[string]struct {
		vars    email.Vars
		subject string
	}{
		"welcome":   {email.Vars{"siteName": "Wildout", "email": "a@x.example"}, "Welcome to Wildout"},
		"follow-up": {email.Vars{"siteName": "Wildout", "email": "a@x.example"}, "Have you found something yet?"},
		"event-admin": {email.Vars{
			"siteName": "Wildout", "id": "e1", "title": "Rock & <Roll>", "date": "Friday", "venue": "Hall", "createdBy": "u",
		}, "New event: Rock & <Roll>"},
		"event-creator": {email.Vars{"siteName": "Wildout", "title": "Rock & <Roll>", "date": "Friday", "venue": "Hall"}, "Rock & <Roll> is published"},
		"security-alert": {email.Vars{
			"siteName": "Wildout", "id": "i", "type": "bulk_operation", "severity": "LOW", "userId": "u", "action": "BULK_X", "attempts": 1, "time": "now",
		}, "[LOW] bulk_operation: user u"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := wildout.WithInfo(context.Background(), wildout.RunInfo{IdempotencyKey: name}, nil)
			if _, err := mailer.Send(ctx, email.Message{To: email.Addresses{"a@x.example"}, Template: name, Vars: c.vars}); err != nil {
				t.Fatal(err)
			}
			mails := server.Mails()
			got := mails[len(mails)-1]
			if got.Subject != c.subject {
				t.Errorf("the subject is %q, want %q", got.Subject, c.subject)
			}
			if !strings.Contains(got.Body, "text/plain") || !strings.Contains(got.Body, "text/html") {
				t.Error("the mail lacks its text or its HTML part")
			}
			if strings.Contains(c.subject, "<Roll>") && !regexp.MustCompile(`&lt;Roll&gt;`).MatchString(got.Body) {
				t.Error("the title is not escaped in the HTML part")
			}
			for key := range c.vars {
				less := email.Vars{}
				for k, v := range c.vars {
					if k != key {
						less[k] = v
					}
				}
				if _, err := mailer.Send(ctx, email.Message{To: email.Addresses{"a@x.example"}, Template: name, Vars: less}); err == nil {
					t.Errorf("the mail has no use for %s", key)
				}
			}
		})
	}
}
