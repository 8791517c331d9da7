package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/page"
)

// output is what an operation may answer with. Its render turns the answer
// into bytes, once: the ETag is made of the same bytes that are sent.
type output interface {
	render(c *call) (*answer, error)
	defaultStatus(method string) int
}

// answer is a response before it is sent: nothing reaches the client until the
// transaction that stores it with its Idempotency-Key has committed.
type answer struct {
	status                            int
	contentType, etag, location, link string
	header                            http.Header // what is rarer
	body                              []byte
	buffer                            *bytes.Buffer // body's, to be used again; nil for a body of another origin
	stream                            func(ctx context.Context, w io.Writer) error
}

const jsonType = "application/json"

// Item is the answer with a single resource. It carries an ETag, answers a
// matching If-None-Match with 304, and a Location when made by [Created].
type Item[T any] struct {
	Body T

	version  int64
	location string
	created  bool
}

// NewItem answers with a resource at a version.
func NewItem[T any](version int64, body T) *Item[T] { return &Item[T]{Body: body, version: version} }

// Created answers with a new resource at its address. The Spec names its
// status: 201.
func Created[T any](location string, version int64, body T) *Item[T] {
	return &Item[T]{Body: body, version: version, location: location, created: true}
}

func (*Item[T]) versioned() {}

func (*Item[T]) defaultStatus(string) int { return http.StatusOK }

func (i *Item[T]) render(c *call) (*answer, error) {
	a, err := encoded(c.op.Status, i.Body)
	if err != nil {
		return nil, err
	}
	a.etag, a.location = etagOf(i.version, a.body), i.location
	if i.created && a.status == http.StatusOK {
		a.status = http.StatusCreated
	}
	if c.op.Method == http.MethodGet && unchanged(c.r.Header.Get("If-None-Match"), a.etag) {
		return nil, &errs.Error{Kind: errs.NotModified, Code: "not_modified", Detail: "The resource has not changed.", ETag: a.etag}
	}
	return a, nil
}

// Value is an answer that is no versioned resource: tokens, counts, reports.
type Value[T any] struct {
	Body T

	location string
	status   int
}

// NewValue answers with body.
func NewValue[T any](body T) *Value[T] { return &Value[T]{Body: body} }

// Accepted answers with body and the address where the outcome will be. The
// Spec names its status: 202.
func Accepted[T any](location string, body T) *Value[T] {
	return &Value[T]{Body: body, location: location}
}

// At tells where what was made is, as a 201 does.
func (v *Value[T]) At(location string) *Value[T] {
	v.location = location
	return v
}

// As answers with another status than the Spec's, its Also.
func (v *Value[T]) As(status int) *Value[T] {
	v.status = status
	return v
}

func (*Value[T]) defaultStatus(string) int { return http.StatusOK }

func (v *Value[T]) render(c *call) (*answer, error) {
	status := c.op.Status
	if v.status != 0 {
		status = v.status
	}
	a, err := encoded(status, v.Body)
	if err != nil {
		return nil, err
	}
	a.location = v.location
	return a, nil
}

// List is the answer with a page of a list.
type List[T any] struct {
	Body ListBody[T]

	next, previous *page.Cursor
}

// ListBody is the form of every list.
type ListBody[T any] struct {
	Results []T `json:"results" nullable:"false" doc:"The page."`
	// The addresses are relative to the host, so that they hold behind any name.
	Next     *string `json:"next" doc:"The next page, or null on the last." example:"/api/v1/tasks/?cursor=AQ"`
	Previous *string `json:"previous" doc:"The page before, or null on the first." example:"/api/v1/tasks/?cursor=AQ"`
}

// NewList answers with a page; next and previous come from [page.Assemble].
func NewList[T any](results []T, next, previous *page.Cursor) *List[T] {
	if results == nil {
		results = []T{}
	}
	return &List[T]{Body: ListBody[T]{Results: results}, next: next, previous: previous}
}

func (*List[T]) defaultStatus(string) int { return http.StatusOK }

func (l *List[T]) render(c *call) (*answer, error) {
	var links []string
	for _, to := range []struct {
		rel string
		at  *page.Cursor
		url **string
	}{{"next", l.next, &l.Body.Next}, {"prev", l.previous, &l.Body.Previous}} {
		if to.at == nil {
			continue
		}
		address, err := c.pageURL(*to.at)
		if err != nil {
			return nil, err
		}
		*to.url = &address
		links = append(links, "<"+address+`>; rel="`+to.rel+`"`) // RFC 8288
	}
	if l.Body.Results == nil {
		l.Body.Results = []T{}
	}
	a, err := encoded(c.op.Status, &l.Body)
	if err != nil {
		return nil, err
	}
	a.link = strings.Join(links, ", ")
	return a, nil
}

// Empty is an answer without a body: 204, or the Spec's status.
type Empty struct{}

func (*Empty) defaultStatus(string) int { return http.StatusNoContent }

func (*Empty) render(c *call) (*answer, error) { return &answer{status: c.op.Status}, nil }

// Redirect sends a browser elsewhere. The caller vouches for the address.
type Redirect struct{ location string }

// NewRedirect answers with an address to go to.
func NewRedirect(location string) *Redirect { return &Redirect{location} }

func (*Redirect) defaultStatus(string) int { return http.StatusFound }

func (r *Redirect) render(c *call) (*answer, error) {
	if r.location == "" {
		return nil, errs.New(errs.Internal, "internal", "Something went wrong on our side.")
	}
	return &answer{status: c.op.Status, location: r.location}, nil
}

// Stream is an answer that is written as it is made. An error after the first
// byte breaks the connection, so that what arrived cannot pass for the whole.
type Stream struct {
	contentType string
	write       func(ctx context.Context, w io.Writer) error
}

// NewStream answers with what write writes. To flush, use
// http.NewResponseController on w when it is a http.ResponseWriter.
func NewStream(contentType string, write func(ctx context.Context, w io.Writer) error) *Stream {
	return &Stream{contentType, write}
}

func (*Stream) defaultStatus(string) int { return http.StatusOK }

func (s *Stream) render(c *call) (*answer, error) {
	return &answer{status: c.op.Status, contentType: s.contentType, stream: s.write}, nil
}

// buffers are of answers that were sent. A page is many kilobytes, made and
// thrown away at each request.
var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 1024)) }}

// maxKept is the largest buffer, in bytes, that is worth keeping: one export
// must not hold its memory for good.
const maxKept = 256 << 10

// encoded is the answer with v as its body.
func encoded(status int, v any) (*answer, error) {
	b, _ := buffers.Get().(*bytes.Buffer)
	b.Reset()
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false) // the answer is never HTML, and & in addresses stays readable
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return &answer{status: status, contentType: jsonType, body: b.Bytes(), buffer: b}, nil
}

// release gives the buffer back, once the body was sent and nobody reads it.
func (a *answer) release() {
	if b := a.buffer; b != nil && b.Cap() <= maxKept {
		a.body, a.buffer = nil, nil
		buffers.Put(b)
	}
}
