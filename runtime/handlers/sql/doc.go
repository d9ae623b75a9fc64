// Package sql is the handlers sql.query and sql.exec: one statement against
// PostgreSQL or SQLite. Open and Classify are for handlers with statements of
// their own, which get the same connections and the same view of errors.
//
// Values go into a statement as parameters ($1, $2, … for both databases) and
// never as text. A step runs one statement and leaves nothing else behind: it
// controls no transaction, and settings, locks or temporary tables are gone
// before the next step has its connection (behind a transaction pooler they
// are the pooler's). A query that reports failure has changed nothing.
// Delivery is at-least-once: a statement that runs twice must
// leave what it leaves once, by an upsert or a unique key such as the step's
// idempotency key. The package must not know what the tables mean.
package sql
