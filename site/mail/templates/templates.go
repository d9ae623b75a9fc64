// Package templates has the texts of the mails that the site writes itself,
// as pairs for the email handlers: <name>.txt, which defines "subject", and
// <name>.html. It must not know who sends them; every variable that a text
// uses must be given.
package templates

import "embed"

// FS has the pairs in its root: hand it to email.Options.Templates.
//
//go:embed *.txt *.html
var FS embed.FS
