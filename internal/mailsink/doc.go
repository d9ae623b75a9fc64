// Package mailsink is an SMTP server that keeps what it is sent: the mail
// server of "wildout dev" and of tests. It speaks the real protocol, with AUTH
// and TLS when asked, so that a mailer is proved against it and not against a
// fake; hooks answer with any SMTP error at any stage. It delivers to nobody
// and must not be reachable from outside: it listens on loopback by default.
package mailsink
