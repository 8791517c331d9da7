package api

import (
	"net/http"
)

// handle serves a call. What it returns as an error becomes a problem, in one
// place: see send.go.
type handle func(c *call) error

// link is one piece of the chain around every operation.
type link struct {
	name string
	// why says why the link stands where it stands.
	why  string
	wrap func(d *Deps, next handle) handle
}

// chain is everything that happens to a request, outermost first. The order is
// the order of checks in the HTTP contract: a client that fails two of them is
// told about the first.
func chain(routes *mux) []link {
	return []link{
		{"answer", "everything below only returns; this sends, once, and logs what was sent", answering},
		{"recover", "a panic below is an error like others, and is answered by the link above", recovering},
		{"deadline", "covers all work, the look-up of keys and membership included", deadline},
		{"route", "404 and 405 tell nothing about who may; the rest needs the operation", routes.route},
		{"hop", "the client's address is needed by all below; internal operations do not exist without a hop", checkHop},
		{"authenticate", "401 comes before any question that needs a person", authenticate},
		{"tenant", "whose membership counts is settled before what it allows", admitTenant},
		{"permission", "403 before the body is read: a stranger's bytes cost nothing", authorize},
		{"media type", "415 needs only headers, so it comes before the reading", mediaType},
		{"body", "413 and 408 while reading, 400 for what is no strict JSON", readBody},
		{"query", "400 for what a query string can hold and huma would read loosely", checkQuery},
		{"idempotency", "needs the body for its fingerprint and must hold whatever the operation answers", idempotent},
		{"operation", "huma decodes and validates (400, 422, 404), and the function acts", operate},
	}
}

// Handler serves a function: its operations behind the whole chain.
func Handler(fn Function, deps Deps) http.Handler {
	Routes(fn) // panics on operations that clash
	d := deps.withDefaults()
	routes := newMux()
	for _, op := range fn.Operations {
		routes.add(serve(op))
	}
	if d.CheckResponses {
		document, _ := build("function "+fn.Name, "", true, fn.Operations...)
		routes.promise(document)
	}
	links := chain(routes)
	run := handle(func(*call) error { return errUnguarded })
	for i := len(links) - 1; i >= 0; i-- {
		run = links[i].wrap(d, run)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{w: w, r: r, d: d}
		_ = run(c) // the outermost link has answered
	})
}
