// Package conformance holds a running platform against its own OpenAPI
// document. For each operation it makes valid requests and mutated ones, from
// the document alone, with the ids of what earlier requests made, and holds
// every answer against what is promised: no 5xx; a documented status, with its
// media type, its schema and, for a problem, its code; nothing taken that the
// document forbids; and success at least once.
//
// A run is decided by its seed, its number of requests and of workers: the same
// three make the same requests again, but for the ids in them. A fault is
// reported with them and as a command for curl.
//
// What a valid request looks like is decided in generate.go, what is done to it
// in mutate.go, what an answer must hold in check.go. What the document cannot
// tell (a token that was mailed) an [Actor] knows.
package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/coditect/platform/functions/all/openapi"
)

// Actor is somebody who is signed in, in an organization of their own.
type Actor interface {
	Token() string
	// Valid gives a request that will succeed, where more is needed for one than
	// the document tells.
	Valid(op *openapi.Operation) (Request, error)
	// Renew makes them able to act again, after a request of theirs has ended
	// their session, their membership or their organization, and tells whether
	// they are in another one now.
	Renew() (moved bool, err error)
}

// Options say what to run.
type Options struct {
	Document []byte
	URL      string // of the platform
	Client   *http.Client
	Seed     uint64
	Requests int
	Workers  int
	// Open makes the actor of a worker.
	Open func(worker int) (Actor, error)
	// Faults is how many are collected before the run stops; 20 if 0.
	Faults int
	// Rare are operations that cost much, such as those that hash passwords:
	// they come a fifth as often.
	Rare func(op *openapi.Operation) bool
}

// Result is what became of a run.
type Result struct {
	Requests int
	Faults   []string
	// Statuses counts the answers of each operation by status.
	Statuses map[string]map[int]int
}

// Silent lists the operations that never succeeded.
func (r *Result) Silent() []string {
	var out []string
	for id, counts := range r.Statuses {
		ok := false
		for status := range counts {
			ok = ok || status/100 == 2 || status == http.StatusFound
		}
		if !ok {
			out = append(out, id)
		}
	}
	sort.Strings(out)
	return out
}

// Summary counts the answers by status.
func (r *Result) Summary() string {
	sum := map[int]int{}
	for _, counts := range r.Statuses {
		for status, n := range counts {
			sum[status] += n
		}
	}
	statuses := make([]int, 0, len(sum))
	for status := range sum {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	words := make([]string, 0, len(statuses))
	for _, status := range statuses {
		words = append(words, fmt.Sprintf("%d × %d", sum[status], status))
	}
	return fmt.Sprintf("%d requests to %d operations: %s", r.Requests, len(r.Statuses), strings.Join(words, ", "))
}

// Table counts the answers of each operation by status, one a line.
func (r *Result) Table() string {
	ids := make([]string, 0, len(r.Statuses))
	for id := range r.Statuses {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "%s:%s\n", id, strings.TrimPrefix(fmt.Sprint(r.Statuses[id]), "map"))
	}
	return b.String()
}

// Run makes the requests.
func Run(ctx context.Context, o Options) (*Result, error) {
	doc, err := openapi.Read(o.Document)
	if err != nil {
		return nil, err
	}
	promises, err := newPromises(o.Document, doc)
	if err != nil {
		return nil, err
	}
	if o.Workers < 1 || o.Requests < 1 {
		return nil, errors.New("conformance: there is nothing to do")
	}
	if o.Faults == 0 {
		o.Faults = 20
	}
	s := &suite{Options: o, doc: doc, promises: promises, result: &Result{Statuses: map[string]map[int]int{}}}
	for _, op := range doc.Operations {
		s.result.Statuses[op.ID] = map[int]int{}
		n := 5
		if o.Rare != nil && o.Rare(op) {
			n = 1
		}
		for range n {
			s.lots = append(s.lots, op)
		}
	}
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	var wg sync.WaitGroup
	failures := make([]error, o.Workers)
	for i := range o.Workers {
		share := o.Requests / o.Workers
		if i < o.Requests%o.Workers {
			share++
		}
		wg.Go(func() {
			if failures[i] = s.work(ctx, i, share); failures[i] != nil {
				s.stop()
			}
		})
	}
	wg.Wait()
	return s.result, errors.Join(failures...)
}

type suite struct {
	Options
	doc      *openapi.Document
	promises *promises
	lots     []*openapi.Operation
	stop     context.CancelFunc

	mu     sync.Mutex
	result *Result
}

// worker makes its share of the requests, one after the other, as one actor.
type worker struct {
	*suite
	number int
	actor  Actor
	rng    *rand.Rand
	known  *memory
	done   map[string]bool // operations that have succeeded here
}

func (s *suite) work(ctx context.Context, number, share int) error {
	actor, err := s.Open(number)
	if err != nil {
		return err
	}
	w := &worker{
		suite: s, number: number, actor: actor, known: newMemory(), done: map[string]bool{},
		rng: rand.New(rand.NewPCG(s.Seed, uint64(number))), //nolint:gosec // A run that can be repeated is the point.
	}
	for i := range share {
		// Each once, so that there is something of every kind; then by lot.
		op := w.lots[w.rng.IntN(len(w.lots))]
		if i < len(w.doc.Operations) {
			op = w.doc.Operations[i]
		}
		if err := w.once(ctx, i, op); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // Another worker has stopped the run, and says why.
			}
			return err
		}
	}
	return nil
}

// once makes one request and holds its answer against the document.
func (w *worker) once(ctx context.Context, i int, op *openapi.Operation) error {
	in, err := w.request(op)
	if err != nil {
		return fmt.Errorf("conformance: a request for %s: %w", op.ID, err)
	}
	req, err := in.build(ctx, w.URL)
	if err != nil {
		return fmt.Errorf("conformance: %s: %w", op.ID, err)
	}
	resp, err := w.Client.Do(req)
	if err != nil {
		return fmt.Errorf("conformance: %s: %w\n%s", op.ID, err, in.curl(w.URL))
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("conformance: %s: %w\n%s", op.ID, err, in.curl(w.URL))
	}
	fault := w.promises.hold(op, in, resp, body)
	w.tally(op, resp.StatusCode)
	if fault != nil {
		w.report(fmt.Sprintf("%s: %v\n  seed %d, %d requests, %d workers: worker %d, request %d; %s\n  %s\n  answer: %d %s %.600s",
			op.ID, fault, w.Seed, w.Requests, w.Workers, w.number, i, strings.Join(in.Mutations, ", "), in.curl(w.URL), resp.StatusCode, resp.Header.Get("Content-Type"), body))
	}
	if ok := resp.StatusCode/100 == 2; ok {
		w.done[op.ID] = true
		w.known.learn(op, in, resp, body)
	}
	if resp.StatusCode == http.StatusNotFound || op.Method == http.MethodDelete && resp.StatusCode/100 == 2 {
		w.known.forget(op, in)
	}
	if in.Token != w.actor.Token() || !ended(resp.StatusCode, body) {
		return nil
	}
	moved, err := w.actor.Renew()
	if moved {
		w.known.leave()
	}
	return err
}

// ended reports whether an answer says that its actor can do nothing more.
func ended(status int, body []byte) bool {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return false
	}
	var p struct{ Code string }
	_ = json.Unmarshal(body, &p) // what does not parse has been reported
	return slices.Contains([]string{"token_revoked", "token_expired", "token_invalid", "no_tenant", "not_a_member", "tenant_deleted", "tenant_suspended", "permission_denied"}, p.Code)
}

func (s *suite) tally(op *openapi.Operation, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Requests++
	s.result.Statuses[op.ID][status]++
}

func (s *suite) report(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Faults = append(s.result.Faults, fault)
	if len(s.result.Faults) >= s.Faults {
		s.stop()
	}
}

// memory is what a worker has learned from answers.
type memory struct {
	things  map[string][]string // by kind
	etags   []string
	cursors []string
	keys    []string
}

func newMemory() *memory { return &memory{things: map[string][]string{}} }

// remembered is how many of a kind are kept: the newest, as old ones are gone.
const remembered = 12

func keep(l []string, v string) []string {
	if v == "" || slices.Contains(l, v) {
		return l
	}
	if l = append(l, v); len(l) > remembered {
		l = l[1:]
	}
	return l
}

func (m *memory) learn(op *openapi.Operation, in *Request, resp *http.Response, body []byte) {
	for _, f := range op.Made(resp.Header.Get("Location"), body) {
		m.things[f.Kind] = keep(m.things[f.Kind], f.ID)
	}
	m.etags = keep(m.etags, resp.Header.Get("ETag"))
	m.keys = keep(m.keys, in.Header.Get("Idempotency-Key"))
	if i := bytes.Index(body, []byte("cursor=")); i >= 0 {
		end := bytes.IndexAny(body[i+7:], `"&\`)
		if end > 0 {
			m.cursors = keep(m.cursors, string(body[i+7:i+7+end]))
		}
	}
}

// forget takes the things that a request named, and that were not there, out of
// the ones to use, but for the last: they may be restored.
func (m *memory) forget(op *openapi.Operation, in *Request) {
	for name, id := range in.Arguments {
		k := op.Kind(name)
		if known := m.things[k]; len(known) > 1 && slices.Contains(known, id) {
			m.things[k] = append([]string{id}, slices.DeleteFunc(known, func(other string) bool { return other == id || other == known[0] })...)
		}
	}
}

// leave keeps one thing of each kind of an organization that is left: as a
// stranger's.
func (m *memory) leave() {
	for kind, known := range m.things {
		m.things[kind] = known[len(known)-1:]
	}
	m.etags, m.cursors, m.keys = nil, nil, nil
}
