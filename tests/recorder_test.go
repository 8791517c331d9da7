package tests

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// statement is one that a function sent, with its parameters as they were on
// the wire.
type statement struct {
	label      string
	sql        string
	types      []uint32
	parameters [][]byte
	formats    []int16
	// settings said for whom its transaction was.
	settings []statement
}

// recorder stands between the functions and PgBouncer and writes down each
// statement that goes by.
type recorder struct {
	url string

	mu   sync.Mutex
	now  string
	seen map[string]statement
}

func newRecorder(t testing.TB, target string) *recorder {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u.Host = l.Addr().String()
	r := &recorder{url: u.String(), seen: map[string]statement{}}
	go func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go intercept(client, server, r.watcher())
			}
		}
	}()
	return r
}

// label names what the statements that follow are for.
func (r *recorder) label(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = s
}

var tables = regexp.MustCompile(`\bapp\.(set_tenant|set_user|set_claim|guard)\(|\bapp\.[a-z_]+`)

// watcher follows one connection.
func (r *recorder) watcher() func(pgproto3.FrontendMessage) {
	var current statement
	var settings []statement
	return func(m pgproto3.FrontendMessage) {
		switch m := m.(type) {
		case *pgproto3.Query:
			if strings.HasPrefix(m.String, "begin") {
				settings = nil
			}
		case *pgproto3.Parse:
			current = statement{sql: m.Query, types: slices.Clone(m.ParameterOIDs)}
		case *pgproto3.Bind:
			if !tables.MatchString(current.sql) {
				return
			}
			current.formats = slices.Clone(m.ParameterFormatCodes)
			current.parameters = nil
			for _, p := range m.Parameters {
				current.parameters = append(current.parameters, slices.Clone(p))
			}
			if strings.HasPrefix(current.sql, "select app.set_") {
				settings = append(settings, current)
				return
			}
			current.settings = slices.Clone(settings)
			r.mu.Lock()
			defer r.mu.Unlock()
			current.label = r.now
			if _, known := r.seen[current.sql]; !known {
				r.seen[current.sql] = current
			}
		}
	}
}

// take gives what was seen since it was called last, for one request.
func (r *recorder) take() []statement {
	out := r.statements()
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.seen)
	return out
}

func (r *recorder) statements() []statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []statement
	for _, s := range r.seen {
		out = append(out, s)
	}
	return sorted(out)
}
