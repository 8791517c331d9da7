// Package errs holds the one error type that crosses package borders: what
// went wrong in a word a program can switch on, in a sentence a client may
// read, and with a cause that only the log ever sees.
//
// A package that knows what an error means to a client returns an [*Error];
// every other error is returned plain and becomes an anonymous 500. Status
// codes are not here: shared/problem is the one place that maps a [Kind] to
// HTTP. To add a kind, add it here and to the table there; the test of that
// table fails until both agree.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an error is, independent of any protocol.
type Kind uint8

// The kinds, in the order in which a request is checked.
const (
	Internal        Kind = iota // our fault; the client learns nothing but an id
	NotFound                    // absent, or not the caller's to know about
	MethodUnknown               // the route exists with other methods only
	Unauthenticated             // no identity, or one that does not hold
	Forbidden                   // an identity without the right
	TooMany                     // over a rate limit; see RetryAfter
	Unsupported                 // a media type we do not read
	TooLarge                    // a body over its limit
	HeadersTooLarge             // request line and headers over theirs
	TooSlow                     // a body that did not arrive in time
	Malformed                   // cannot be parsed, or a fault in the query string
	Invalid                     // parsed, but a field is wrong; see Fields
	Payment                     // over what the plan allows
	Precondition                // If-Match names another version
	NotModified                 // If-None-Match names the present version
	Conflict                    // in the wrong state, or taken
	Unavailable                 // a dependency is down; see RetryAfter
	Timeout                     // we ran out of time
	Canceled                    // the client went away
)

// Field is one fault of a request: where it is and what is wrong with it.
type Field struct {
	// Location is a path such as "body.title" or "query.status".
	Location string
	// Message is a sentence fit for the client, without a subject.
	Message string
	// Value is what was sent, or nil where echoing it would be unsafe.
	Value any
}

// Error is a failure with a public half (Code, Detail, Fields) and a private
// one (the cause).
type Error struct {
	Kind Kind
	// Code is a stable snake_case word; clients switch on it.
	Code string
	// Detail is a sentence for a person. It never holds secrets, SQL or paths.
	Detail string
	// Fields lists the faults of a Malformed or Invalid request.
	Fields []Field
	// RetryAfter tells when to try again, for TooMany and Unavailable, and for a
	// Payment that waiting settles as well.
	RetryAfter time.Duration
	// Allow lists the methods of a route, for MethodUnknown.
	Allow string
	// ETag is the present version, for NotModified and Precondition.
	ETag string

	cause error
}

// New makes an error without a cause.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Wrap makes an error whose cause goes to the log and nowhere else.
func Wrap(cause error, kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail, cause: cause}
}

// InvalidFields is a validation failure with the given faults, or nil when
// there are none.
func InvalidFields(fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Code: "validation_failed", Detail: "One or more fields are not valid.", Fields: fields}
}

// InvalidField is a validation failure of one field.
func InvalidField(location, message string) *Error {
	return &Error{Kind: Invalid, Code: "validation_failed", Detail: "One or more fields are not valid.",
		Fields: []Field{{Location: location, Message: message}}}
}

// ErrNotFound is the one answer for everything a caller may not see, so that
// "absent" and "another tenant's" cannot be told apart.
var ErrNotFound = New(NotFound, "not_found", "There is no such resource.")

// WithCause returns a copy that carries cause for the log.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithRetry returns a copy that asks the client to wait for d.
func (e *Error) WithRetry(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Error joins both halves; it is for logs, never for clients.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.cause)
	}
	return e.Code + ": " + e.Detail
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is matches errors of the same kind and code, so that a package-level error
// is found behind a copy made by WithCause.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Kind == e.Kind && t.Code == e.Code
}

// KindOf gives the kind of err: Internal for errors that are not ours.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// CodeOf gives the code of err, or "" for errors that are not ours.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
