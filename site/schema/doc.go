// Package schema is the site's database as the domain's handlers see it: its
// tables (migrations and sample rows) and the thin layer that makes one SQL
// text serve PostgreSQL and the SQLite of `wildout dev`: transactions, named
// locks, the database's clock and the wire form of times. It must not know
// what the tables are used for.
package schema
