// Package mail sends the mails of email/send events: never more to one
// recipient, and never more in all, within a period than the manifest allows,
// over all runs and runners; and it keeps the mail log and its counters. The subpackage
// templates has the texts of the mails that the site writes itself. It must
// not know what the mails are about.
package mail
