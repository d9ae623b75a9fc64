// Package audit keeps the audit log: one row per entry, whatever the number of
// functions and attempts that store it, and none lost while the database is
// away. It must not know which entries are alarming (package security does).
package audit
