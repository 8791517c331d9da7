// Package dns stands in for the domain name system on a laptop and in tests: a
// server on UDP that knows the TXT records it was given, and that no other name
// exists. Point DNS_RESOLVER at it.
//
// Its page below [Prefix] sets and removes records, for whoever has no zone to
// write to.
package dns

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
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
}

// Listen starts a server at an address such as 127.0.0.1:0.
func Listen(address string) (*Server, error) {
	conn, err := net.ListenPacket("udp", address) //nolint:noctx // it is bound at once
	if err != nil {
		return nil, err
	}
	s := &Server{conn: conn, records: map[string][]string{}}
	go s.serve()
	return s, nil
}

// Address is where it listens, host:port.
func (s *Server) Address() string { return s.conn.LocalAddr().String() }

// Close ends it.
func (s *Server) Close() error { return s.conn.Close() }

func canonical(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// SetTXT gives a name these texts, in place of those it had; none removes it.
func (s *Server) SetTXT(name string, texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(texts) == 0 {
		delete(s.records, canonical(name))
		return
	}
	s.records[canonical(name)] = texts
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
		s.SetTXT(r.PathValue("name"), texts...)
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("DELETE "+Prefix+"{name}/", func(w http.ResponseWriter, r *http.Request) {
		s.SetTXT(r.PathValue("name"))
		w.WriteHeader(http.StatusNoContent)
	})
	return m
}

// String tells where it is.
func (s *Server) String() string { return "dns at " + s.Address() }
