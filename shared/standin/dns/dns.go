// Package dns stands in for the domain name system on a laptop and in tests: a
// server on UDP that knows the TXT records it was given, and that no other name
// exists. Point DNS_RESOLVER at it.
//
// Its page below [Prefix] sets and removes records, for whoever has no zone to
// write to.
package dns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Prefix is where [Server.Handler] is served.
const Prefix = "/_local/dns/"

// Server answers for all names.
type Server struct {
	conn net.PacketConn

	mu      sync.Mutex
	records map[string][]string // by lower-case name without a root dot
	silent  bool
	file    string // where the records are kept; "" keeps them in memory
}

// Option changes a server.
type Option func(*Server)

// WithFile keeps the records in a file, across restarts.
func WithFile(path string) Option { return func(s *Server) { s.file = path } }

// Listen starts a server at an address such as 127.0.0.1:0.
func Listen(address string, opts ...Option) (*Server, error) {
	s := &Server{records: map[string][]string{}}
	for _, o := range opts {
		o(s)
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp", address) //nolint:noctx // it is bound at once
	if err != nil {
		return nil, err
	}
	s.conn = conn
	go s.serve()
	return s, nil
}

func (s *Server) load() error {
	if s.file == "" {
		return nil
	}
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	if err := json.Unmarshal(text, &s.records); err != nil || s.records == nil {
		return fmt.Errorf("dns: %s is not a file of records: remove it to begin without any: %w", s.file, cmp.Or(err, errNull))
	}
	return nil
}

var errNull = errors.New("it is null")

// save replaces the file whole, so that a crash leaves the old one or the new.
func (s *Server) save(records map[string][]string) error {
	if s.file == "" {
		return nil
	}
	text, err := json.Marshal(records)
	if err == nil {
		err = os.WriteFile(s.file+".new", append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	if err != nil {
		return fmt.Errorf("dns: keep the records: %w", err)
	}
	return nil
}

// Free reports whether a port of 127.0.0.1 can be listened on.
func Free(port int) bool {
	conn, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it is bound at once
	return err == nil && conn.Close() == nil
}

// Address is where it listens, host:port.
func (s *Server) Address() string { return s.conn.LocalAddr().String() }

// Close ends it.
func (s *Server) Close() error { return s.conn.Close() }

func canonical(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// SetTXT is [Server.Set] where the records are in memory only, which cannot fail.
func (s *Server) SetTXT(name string, texts ...string) { _ = s.Set(name, texts...) }

// Set gives a name these texts, in place of those it had; none removes it. It
// fails where the records are kept in a file that cannot be written, and changes
// nothing then.
func (s *Server) Set(name string, texts ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := maps.Clone(s.records)
	if len(texts) == 0 {
		delete(changed, canonical(name))
	} else {
		changed[canonical(name)] = texts
	}
	if err := s.save(changed); err != nil {
		return err
	}
	s.records = changed
	return nil
}

// Silence makes it answer nothing, as a server that is down, or answer again.
func (s *Server) Silence(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

func (s *Server) texts(name string) (texts []string, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[canonical(name)], s.silent
}

func (s *Server) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply := s.reply(buf[:n]); reply != nil {
			_, _ = s.conn.WriteTo(reply, from)
		}
	}
}

// reply is the answer to a question, nil for what is none.
func (s *Server) reply(question []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || m.Response || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	texts, silent := s.texts(q.Name.String())
	if silent {
		return nil
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true},
		Questions: m.Questions,
	}
	if texts == nil {
		out.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range texts {
		if q.Type != dnsmessage.TypeTXT {
			break
		}
		out.Answers = append(out.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.TXTResource{TXT: parts(text)},
		})
	}
	packed, err := out.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// parts cuts a text into the strings of at most 255 bytes that a record is made
// of (RFC 1035 §3.3.14).
func parts(text string) []string {
	const longest = 255
	var out []string
	for len(text) > longest {
		out, text = append(out, text[:longest]), text[longest:]
	}
	return append(out, text)
}

// Handler lists the records as JSON (GET), sets a name's to the body's lines
// (PUT) and removes them (DELETE), below [Prefix].
func (s *Server) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET "+Prefix+"{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		all := maps.Clone(s.records)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all)
	})
	m.HandleFunc("PUT "+Prefix+"{name}/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
		texts := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(body)), "\n"), func(line string) bool { return line == "" })
		if err != nil || len(texts) == 0 {
			http.Error(w, "the body is the texts of the record, one a line", http.StatusBadRequest)
			return
		}
		s.change(w, r.PathValue("name"), texts...)
	})
	m.HandleFunc("DELETE "+Prefix+"{name}/", func(w http.ResponseWriter, r *http.Request) {
		s.change(w, r.PathValue("name"))
	})
	return m
}

func (s *Server) change(w http.ResponseWriter, name string, texts ...string) {
	if err := s.Set(name, texts...); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// String tells where it is.
func (s *Server) String() string { return "dns at " + s.Address() }
