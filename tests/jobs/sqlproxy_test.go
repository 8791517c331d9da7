package jobs_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// sqlProxy gives a process the database at target through a proxy that knows
// which statements pass, and returns its address. What passes is seen a round
// trip at a time: everything up to a Sync.
func (s *stage) sqlProxy(t *testing.T, link, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	u.Host = listen(t, func(client net.Conn) {
		up, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer up.Close()
		c := &sqlConn{stage: s, link: link, client: client, server: up}
		c.carry()
	})
	return u.String()
}

// listen accepts connections until t ends and hands each to serve.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// sqlConn is one connection of a process.
type sqlConn struct {
	stage          *stage
	link           string
	client, server net.Conn

	held atomic.Bool // the next answer does not reach the client
	sql  string      // of the transaction so far
}

func (c *sqlConn) carry() {
	go c.answers()
	if err := c.startup(); err != nil {
		return
	}
	var group []byte // what is sent together
	var said string  // its statements
	for {
		kind, message, err := readMessage(c.client)
		if err != nil {
			return
		}
		group = append(group, message...)
		switch kind {
		case 'P', 'Q': // Parse, Query
			text := statement(kind, message)
			if strings.HasPrefix(text, "begin") {
				c.sql = ""
			}
			c.sql += text + "\n"
			said += text + "\n"
			if kind == 'P' {
				continue
			}
		case 'B', 'D', 'E', 'C':
			continue
		}
		if said != "" {
			if c.stage.due(c.link, before, c.sql, said) {
				c.stage.fire()
				return
			}
			if c.stage.due(c.link, after, c.sql, said) {
				c.held.Store(true)
			}
		}
		if _, err := c.server.Write(group); err != nil {
			return
		}
		group, said = group[:0], ""
	}
}

// startup passes on the first message, which has no type.
func (c *sqlConn) startup() error {
	var size [4]byte
	if _, err := io.ReadFull(c.client, size[:]); err != nil {
		return err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	if _, err := io.ReadFull(c.client, body); err != nil {
		return err
	}
	_, err := c.server.Write(append(size[:], body...))
	return err
}

// answers passes on what the server says. A held answer is read to its end
// (ReadyForQuery), so that the statements have had their effect.
func (c *sqlConn) answers() {
	defer c.client.Close()
	for {
		kind, message, err := readMessage(c.server)
		if err != nil {
			return
		}
		if c.held.Load() {
			if kind == 'Z' {
				c.stage.fire()
				return
			}
			continue
		}
		if _, err := c.client.Write(message); err != nil {
			return
		}
	}
}

func readMessage(r io.Reader) (kind byte, whole []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	whole = make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	copy(whole, head)
	_, err = io.ReadFull(r, whole[5:])
	return head[0], whole, err
}

// statement is the SQL of a Parse, after the name, or of a Query.
func statement(kind byte, message []byte) string {
	text := string(message[5:])
	if kind == 'P' {
		_, text, _ = strings.Cut(text, "\x00")
	}
	text, _, _ = strings.Cut(text, "\x00")
	return text
}
