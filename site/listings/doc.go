// Package listings publishes the site's listings: rows of the table events,
// which are parties and concerts, not messages. Two functions work on a new
// listing; what each does for it happens once. It must not know which ones.
package listings
