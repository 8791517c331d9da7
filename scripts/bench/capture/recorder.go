// Package capture takes down the statements that the product sends for an
// operation, so that the benchmark's floor and pgbench send the same ones. They
// are read off the wire in the run itself: a change of the product's SQL is a
// change of what it is compared with.
package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// sent is a statement as it was on the wire.
type sent struct {
	sql        string
	parameters [][]byte
	binary     bool
}

// Recorder stands before a database and writes down each statement that goes
// by.
type Recorder struct {
	// URL is the database's address by way of the recorder.
	URL string

	server   string
	listener net.Listener
	mu       sync.Mutex
	sent     []sent
}

// Listen puts a recorder before the database at address, a URL without TLS.
func Listen(address string) (*Recorder, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the database's address is no URL") // the parser's error quotes the password
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by Close
	if err != nil {
		return nil, err
	}
	r := &Recorder{server: u.Host, listener: l}
	u.Host = l.Addr().String()
	r.URL = u.String()
	go r.accept()
	return r, nil
}

// Close takes no more connections. Those that are open end with their client.
func (r *Recorder) Close() error { return r.listener.Close() }

func (r *Recorder) accept() {
	for {
		client, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go r.pass(client)
		}
	}
}

// take gives what was sent since the last time.
func (r *Recorder) take() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.sent
	r.sent = nil
	return out
}

// pass carries one connection.
func (r *Recorder) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.server) //nolint:noctx // ends with the client
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_ = r.follow(client, server)
}

// most is the longest message that is passed on.
const most = 16 << 20

// follow passes the messages of a client on, each whole, since PgBouncer takes
// no other in a connection's first exchanges. Each is noted before it is passed
// on, so that whoever has its answer finds it. The first has no type.
func (r *Recorder) follow(client io.Reader, server io.Writer) error {
	var sql string
	for kind := 0; ; kind = 1 {
		message := make([]byte, kind+4)
		if _, err := io.ReadFull(client, message); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(message[kind:])) - 4
		if size < 0 || size > most {
			return fmt.Errorf("a message of %d bytes", size)
		}
		message = slices.Concat(message, make([]byte, size))
		body := message[kind+4:]
		if _, err := io.ReadFull(client, body); err != nil {
			return err
		}
		if kind == 1 {
			if err := r.note(message[0], body, &sql); err != nil {
				return err
			}
		}
		if _, err := server.Write(message); err != nil {
			return err
		}
	}
}

// note writes down what a message says of a statement; sql is that of the last
// Parse.
func (r *Recorder) note(kind byte, body []byte, sql *string) error {
	switch kind {
	case 'P':
		var m pgproto3.Parse
		if err := m.Decode(body); err != nil {
			return err
		}
		*sql = m.Query
	case 'B':
		var m pgproto3.Bind
		if err := m.Decode(body); err != nil {
			return err
		}
		s := sent{sql: *sql, binary: slices.Contains(m.ParameterFormatCodes, 1)}
		for _, p := range m.Parameters {
			s.parameters = append(s.parameters, slices.Clone(p))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent = append(r.sent, s)
	}
	return nil
}
