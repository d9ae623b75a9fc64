// Package users keeps what the site knows of its users: their address, their
// profile, and what they did last. It must not know why a step asks.
package users
