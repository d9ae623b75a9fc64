package email

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// envelope is a message that is ready to be sent.
type envelope struct {
	id         string
	from       string
	recipients []string
	msg        *gomail.Msg
}

// content is the subject and the body of a message, templates filled in.
type content struct{ subject, text, html string }

// validate says what is missing or not allowed in a header.
func (c content) validate() error {
	if strings.TrimSpace(c.subject) == "" {
		return errors.New("the mail has no subject: give subject, or a template that defines it")
	}
	// A line break would start a header of the sender's making.
	if i := strings.IndexFunc(c.subject, isControl); i >= 0 {
		return fmt.Errorf("the subject has the control character %q at byte %d, which could forge a header: remove it", c.subject[i], i)
	}
	if c.text == "" && c.html == "" {
		return errors.New("the mail has no body: give text, html or template")
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// build makes the envelope of m. Its errors name the field that is wrong; no
// attempt can mend them. key is the idempotency key, empty outside a run.
func build(m Message, c content, defaultFrom, key string, now time.Time) (*envelope, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	e := &envelope{msg: msg}
	if err := e.address(m, defaultFrom); err != nil {
		return nil, err
	}
	msg.Subject(c.subject)
	msg.SetDateWithValue(now)
	// RFC 3834: tells out-of-office responders not to answer.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	e.setMessageID(m, key)
	switch {
	case c.text == "":
		msg.SetBodyString(gomail.TypeTextHTML, c.html)
	case c.html == "":
		msg.SetBodyString(gomail.TypeTextPlain, c.text)
	default:
		msg.SetBodyString(gomail.TypeTextPlain, c.text)
		msg.AddAlternativeString(gomail.TypeTextHTML, c.html)
	}
	return e, nil
}

func (e *envelope) address(m Message, defaultFrom string) error {
	from := m.From
	if from == "" {
		from = defaultFrom
	}
	if from == "" {
		return errors.New("the mail has no sender: give from, or configure a default sender")
	}
	senders, err := parseAddresses("from", Addresses{from})
	if err != nil {
		return err
	}
	e.from = senders[0].Address
	e.msg.FromMailAddress(senders[0])
	if m.ReplyTo != "" {
		replyTo, err := parseAddresses("replyTo", Addresses{m.ReplyTo})
		if err != nil {
			return err
		}
		e.msg.ReplyToMailAddress(replyTo...)
	}
	for _, field := range []struct {
		name string
		list Addresses
		set  func(...*mail.Address)
	}{
		{"to", m.To, e.msg.ToMailAddress},
		{"cc", m.Cc, e.msg.CcMailAddress},
		{"bcc", m.Bcc, e.msg.BccMailAddress},
	} {
		addresses, err := parseAddresses(field.name, field.list)
		if err != nil {
			return err
		}
		if len(addresses) > 0 {
			field.set(addresses...)
		}
		for _, a := range addresses {
			e.recipients = append(e.recipients, a.Address)
		}
	}
	if len(e.recipients) == 0 {
		return errors.New("the mail has no recipient: give to, cc or bcc")
	}
	return nil
}

func parseAddresses(field string, list Addresses) ([]*mail.Address, error) {
	parsed := make([]*mail.Address, 0, len(list))
	for i, s := range list {
		if strings.ContainsFunc(s, isControl) {
			return nil, fmt.Errorf("%s[%d]: %q has a control character, which could forge a header", field, i, s)
		}
		a, err := mail.ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %q is not a mail address: %w", field, i, s, err)
		}
		// Quoting may hide a control character from the check above.
		if strings.ContainsFunc(a.Address, isControl) || strings.ContainsFunc(a.Name, isControl) {
			return nil, fmt.Errorf("%s[%d]: %q has a control character, which could forge a header", field, i, s)
		}
		parsed = append(parsed, a)
	}
	return parsed, nil
}

// setMessageID derives the id from the key, so that every attempt has the same
// one, and from the recipients, so that a handler may send several mails in
// one step. Without a key the id is random.
func (e *envelope) setMessageID(m Message, key string) {
	if key == "" {
		e.msg.SetMessageID()
		e.id = strings.Trim(e.msg.GetMessageID(), "<>")
		return
	}
	h := sha256.New()
	for _, part := range append([]string{key, m.Template, m.Subject}, e.recipients...) {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	domain := e.from[strings.LastIndexByte(e.from, '@')+1:]
	e.id = hex.EncodeToString(h.Sum(nil)[:16]) + "@" + domain
	e.msg.SetMessageIDWithValue(e.id)
}
