// Package clerksim is a simulated Clerk: the invitation part of Clerk's Backend
// API as a stateful in-memory server.
package clerksim
