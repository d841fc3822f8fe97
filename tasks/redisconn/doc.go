// Package redisconn makes the connections to Redis of everything in inviteq:
// command line, HTTP API, worker and Go client. It knows the URLs
//
//	redis://[user:password@]host:6379/0            one server
//	rediss://…                                     the same over TLS
//	unix://[user:password@]/path/to/socket?db=0    a socket on this machine
//	redis-sentinel://[user:password@]h1:26379,h2:26379/0?master=NAME
//	redis-cluster://[user:password@]h1:6379,h2:6379
//	rediss-sentinel://…, rediss-cluster://…        the same over TLS
//
// says in plain words what is wrong with a connection (Explain), and reads who
// the server is that has the data of an instance (Identify).
//
// No error of this package quotes a URL or what a command was given: a URL may
// hold a password, an argument an address.
package redisconn
