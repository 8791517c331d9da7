// Package outboxrelay is the function that hands the messages of both outboxes
// to Cloud Tasks and Pub/Sub. It is called by a schedule, which finds everything
// in the end, and nudged after each commit that left a message, which makes it
// fast.
//
// A message is handed over when it is due and claimed for a lease; it is done
// when its consumer recorded it, not before. What a queue, a consumer or the
// relay itself loses is due again when its lease is over. Any number of relays
// may run: a claim skips what another one holds.
//
// Fairness is a matter of how much may be under way: an owner (a tenant, or a
// person) has a window per kind, and all owners together one that the queue
// works off in a few seconds, so that a hundred thousand messages of one stand
// in the outbox and not in the queue before everybody else's. Owners take turns.
//
// To change how messages are found, see store.go; how many are taken, window.go;
// a new service to hand over to is a queue.Deliverer in open.go.
package outboxrelay
