// Package problem renders errors as RFC 9457 problem details. It is the one
// place where a kind of error becomes an HTTP status; functions and the router
// both answer through it, so that a client cannot tell who refused it.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/coditect/platform/shared/errs"
)

// MediaType is the content type of every error answer.
const MediaType = "application/problem+json"

// Problem is the body of every error answer (RFC 9457 with our extensions).
type Problem struct {
	Type      string  `json:"type" example:"about:blank" doc:"A URI for this sort of problem."`
	Title     string  `json:"title" example:"Unprocessable Entity" doc:"The status in words."`
	Status    int     `json:"status" example:"422" doc:"The HTTP status."`
	Detail    string  `json:"detail" example:"One or more fields are not valid." doc:"What went wrong, for a person."`
	Instance  string  `json:"instance" example:"/api/v1/projects/" doc:"The path that was asked for."`
	Code      string  `json:"code" example:"validation_failed" doc:"A stable word to switch on."`
	RequestID string  `json:"request_id" example:"0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f" doc:"Quote it when you ask for help."`
	Errors    []Field `json:"errors,omitempty" nullable:"false" doc:"The faults of the request, for 400 and 422."`
}

// Field is one fault of a request.
type Field struct {
	Location string `json:"location" example:"body.title" doc:"Where the fault is."`
	Message  string `json:"message" example:"expected length >= 1" doc:"What is wrong."`
	Value    any    `json:"value,omitempty" doc:"What was sent, when it is a short scalar."`
}

var statuses = map[errs.Kind]int{
	errs.Internal:        http.StatusInternalServerError,
	errs.NotFound:        http.StatusNotFound,
	errs.MethodUnknown:   http.StatusMethodNotAllowed,
	errs.Unauthenticated: http.StatusUnauthorized,
	errs.Forbidden:       http.StatusForbidden,
	errs.TooMany:         http.StatusTooManyRequests,
	errs.Unsupported:     http.StatusUnsupportedMediaType,
	errs.TooLarge:        http.StatusRequestEntityTooLarge,
	errs.HeadersTooLarge: http.StatusRequestHeaderFieldsTooLarge,
	errs.TooSlow:         http.StatusRequestTimeout,
	errs.Malformed:       http.StatusBadRequest,
	errs.Invalid:         http.StatusUnprocessableEntity,
	errs.Payment:         http.StatusPaymentRequired,
	errs.Precondition:    http.StatusPreconditionFailed,
	errs.NotModified:     http.StatusNotModified,
	errs.Conflict:        http.StatusConflict,
	errs.Unavailable:     http.StatusServiceUnavailable,
	errs.Timeout:         http.StatusGatewayTimeout,
	errs.Canceled:        499,
}

// Status is the HTTP status of a kind.
func Status(k errs.Kind) int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return http.StatusInternalServerError
}

var internal = errs.New(errs.Internal, "internal", "Something went wrong on our side.")

// Classify turns any error into one of ours. What is not ours already becomes
// an anonymous 500, a 504 when time ran out, or 499 when the client left.
func Classify(err error) *errs.Error {
	var e *errs.Error
	if errors.As(err, &e) {
		return e
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errs.Wrap(err, errs.TooLarge, "body_too_large", "The request body is larger than the limit.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errs.Wrap(err, errs.TooSlow, "body_timeout", "The request body came too slowly.")
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Wrap(err, errs.Timeout, "timeout", "The request took too long.")
	case errors.Is(err, context.Canceled):
		return errs.Wrap(err, errs.Canceled, "client_closed_request", "The client went away.")
	}
	return internal.WithCause(err)
}

// New renders err for the given path and request.
func New(err error, instance, requestID string) *Problem {
	e := Classify(err)
	status := Status(e.Kind)
	title := http.StatusText(status)
	if status == 499 {
		title = "Client Closed Request"
	}
	p := &Problem{Type: "about:blank", Title: title, Status: status, Detail: e.Detail, Instance: instance, Code: e.Code, RequestID: requestID}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, Field{Location: f.Location, Message: f.Message, Value: f.Value})
	}
	return p
}

// Headers sets what the status obliges us to send beside the body.
func Headers(h http.Header, err error) {
	e := Classify(err)
	switch e.Kind {
	case errs.Unauthenticated:
		h.Set("WWW-Authenticate", challenge(e.Code))
	case errs.TooMany, errs.Unavailable:
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	case errs.Payment:
		if e.RetryAfter > 0 {
			h.Set("Retry-After", retryAfter(e.RetryAfter))
		}
	case errs.MethodUnknown:
		h.Set("Allow", e.Allow)
	case errs.NotModified, errs.Precondition:
		if e.ETag != "" {
			h.Set("ETag", e.ETag)
		}
	default: // the body says all there is
	}
}

// challenge follows RFC 6750 §3: no error attribute when no token came.
func challenge(code string) string {
	if code == "token_missing" {
		return `Bearer realm="coditect"`
	}
	return `Bearer realm="coditect", error="invalid_token"`
}

// retryAfter is in whole seconds (RFC 9110 §10.2.3), rounded up and never 0,
// so that a client that obeys it does not come back too early.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// Write answers r with err. It removes the headers that described the answer
// that did not come about.
func Write(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	h := w.Header()
	for _, k := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Location", "Link", "Cache-Control"} {
		h.Del(k)
	}
	Headers(h, err)
	p := New(err, r.URL.Path, requestID)
	if p.Status == http.StatusNotModified {
		w.WriteHeader(p.Status)
		return
	}
	h.Set("Content-Type", MediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p)
	}
}
