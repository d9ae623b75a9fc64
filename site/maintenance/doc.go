// Package maintenance looks after the site's data: it removes what has been
// kept long enough, takes statistics, and checks what the functions depend on.
// It must not know when it is run.
package maintenance
