package email

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

// authRetry is the wait after a refused password: it is a person who mends
// it, and servers lock an account that fails too often.
const authRetry = time.Minute

// stage is how far a mail came, in the order of the protocol.
type stage int

const (
	stageConnect stage = iota + 1
	stageTLS
	stageGreet
	stageAuth
	stageMail
	stageRcpt
	stageData
	stageContent
)

// deliveryError is a mail that the server did not take.
type deliveryError struct {
	stage     stage
	server    server
	sender    string
	recipient string // at stageRcpt
	err       error
}

func (e *deliveryError) Unwrap() error { return e.err }

// reply is the code of the server's answer; 0 when it gave none.
func (e *deliveryError) reply() int {
	var reply *textproto.Error
	if errors.As(e.err, &reply) {
		return reply.Code
	}
	return 0
}

func (e *deliveryError) Error() string {
	at := e.server.addr()
	switch e.stage {
	case stageConnect:
		return fmt.Sprintf("cannot connect to the SMTP server %s: %v; check host and port in the SMTP URL, that the server runs, and that a NetworkPolicy or firewall lets this pod reach it", at, e.err)
	case stageTLS:
		return fmt.Sprintf("no TLS with the SMTP server %s: %v; check starttls in the SMTP URL (it is %s) and the server's certificate", at, e.err, e.server.tls)
	case stageGreet:
		return fmt.Sprintf("the SMTP server %s does not greet: %v; check that the port speaks SMTP (465 wants smtps://) and that the server accepts this client", at, e.err)
	case stageAuth:
		return fmt.Sprintf("the SMTP server %s refuses the login of user %q: %v; check user and password in the SMTP URL", at, e.server.user, e.err)
	case stageMail:
		return fmt.Sprintf("the SMTP server %s refuses the sender %s: %v%s", at, e.sender, e.err, e.loginHint())
	case stageRcpt:
		return fmt.Sprintf("the SMTP server %s refuses the recipient %s, so nobody got the mail: %v%s", at, e.recipient, e.err, e.loginHint())
	case stageData:
		return fmt.Sprintf("the SMTP server %s refuses the mail before its content: %v", at, e.err)
	}
	if e.reply() == 0 {
		return fmt.Sprintf("the connection to the SMTP server %s broke before it confirmed the mail, which may have been delivered: %v", at, e.err)
	}
	return fmt.Sprintf("the SMTP server %s refuses the content of the mail: %v", at, e.err)
}

func (e *deliveryError) loginHint() string {
	switch {
	case !e.wantsLogin():
		return ""
	case e.server.password == "":
		return "; it wants a login: put user and password into the SMTP URL"
	}
	return "; check starttls, user and password in the SMTP URL"
}

// wantsLogin: 530 is "authentication required" and "STARTTLS first", 538
// "encryption required", none of them about this mail.
func (e *deliveryError) wantsLogin() bool {
	code := e.reply()
	return code == 530 || code == 534 || code == 535 || code == 538
}

// stale: the server ended the connection before the mail's content was sent,
// as it does with one that was idle.
func (e *deliveryError) stale() bool {
	return e.stage < stageData && (e.reply() == 0 || e.reply() == 421)
}

// classify marks what no attempt can mend. Only an answer about this mail (5xx
// to MAIL, RCPT or DATA) is such: whatever fails before is about the server or
// its settings, and retrying keeps the mail until a person has mended those -
// a password that rotates must not lose mails.
func (e *deliveryError) classify() error {
	if errors.Is(e.err, context.Canceled) {
		return e
	}
	switch {
	case e.stage == stageAuth, e.wantsLogin():
		return wildout.RetryAfter(authRetry, e)
	case e.stage >= stageMail && e.reply() >= 500:
		return wildout.NonRetriable(e)
	}
	return e
}
