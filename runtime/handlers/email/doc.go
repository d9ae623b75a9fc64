// Package email is the handler email.send: one mail over SMTP, from a template
// or from text and HTML given. Other handlers call its Mailer directly.
//
// Delivery is at-least-once: when the connection breaks after the mail was
// handed over and before the server confirmed it, the next attempt sends it
// again with the same Message-ID, by which mail systems recognise it. A mail
// goes to all of its recipients or, when the server refuses one, to none. The
// package must not know what the mails are about.
package email
