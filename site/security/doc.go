// Package security finds what is alarming in the audit log and keeps the
// alerts. The rules are inputs of its steps. It must not know how an alert
// reaches people: the manifests say that.
package security
