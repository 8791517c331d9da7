// Package load makes requests over kept-alive connections and times them: as
// fast as the answers come (Closed), or at a fixed rate whatever the answers
// do (Open).
//
// It writes prepared bytes to plain connections and reads just enough of an
// answer to find its end. A client of net/http, which the usual load generators
// are made of, costs more than some of the servers that are measured here, and
// client and server share the machine.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Caller is one connection's part in a conversation. Only one goroutine uses
// it at a time.
type Caller interface {
	// Request is the next request as it goes over the wire.
	Request() []byte
	// Answer takes the answer to it; body is valid until it returns. An error
	// says that the answer is not the one that the measurement is about.
	Answer(status int, body []byte) error
}

// ErrProtocol says that an answer is not HTTP/1.1 as servers of Go write it.
var ErrProtocol = errors.New("not an answer in HTTP/1.1")

// conn is a connection that is made when it is first used, and again after the
// server closed it.
type conn struct {
	address  string
	deadline time.Time
	raw      net.Conn
	in       *bufio.Reader
	body     []byte
}

func (c *conn) close() {
	if c.raw != nil {
		_ = c.raw.Close()
		c.raw = nil
	}
}

// do sends a request and reads its answer.
func (c *conn) do(ctx context.Context, request []byte) (status int, body []byte, err error) {
	if c.raw == nil {
		raw, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return 0, nil, err
		}
		if err := raw.SetDeadline(c.deadline); err != nil {
			return 0, nil, errors.Join(err, raw.Close())
		}
		c.raw, c.in = raw, bufio.NewReaderSize(raw, 32<<10)
	}
	if _, err := c.raw.Write(request); err != nil {
		c.close()
		return 0, nil, err
	}
	status, closing, err := c.read()
	if err != nil || closing {
		c.close()
	}
	return status, c.body, err
}

// read reads one answer into c.body.
func (c *conn) read() (status int, closing bool, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, true, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, true, fmt.Errorf("%w: %.40q", ErrProtocol, line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, true, fmt.Errorf("%w: %.40q", ErrProtocol, line)
	}
	length, chunked := -1, false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return status, true, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := field(line, "content-length:"); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return status, true, fmt.Errorf("%w: %.60q", ErrProtocol, line)
			}
		} else if value, ok := field(line, "transfer-encoding:"); ok {
			chunked = bytes.EqualFold(value, []byte("chunked"))
		} else if value, ok := field(line, "connection:"); ok {
			closing = bytes.EqualFold(value, []byte("close"))
		}
	}
	c.body = c.body[:0]
	switch {
	case chunked:
		return status, closing, c.chunks()
	case length > 0:
		return status, closing, c.more(length)
	case length == 0 || status == 204 || status == 304:
		return status, closing, nil
	}
	return status, true, fmt.Errorf("%w: its end is not to be found", ErrProtocol)
}

// field gives the value of a header's line if it is of that name, which is in
// lower case and ends with the colon.
func field(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || line[len(name)-1] != ':' || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}

// more reads n bytes onto the end of the body.
func (c *conn) more(n int) error {
	had := len(c.body)
	if need := had + n; cap(c.body) < need {
		c.body = append(make([]byte, 0, 2*need), c.body...)
	}
	c.body = c.body[:had+n]
	_, err := io.ReadFull(c.in, c.body[had:])
	return err
}

func (c *conn) chunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("%w: a chunk of %.20q", ErrProtocol, line)
		}
		if err := c.more(int(size)); err != nil {
			return err
		}
		if _, err := c.in.ReadSlice('\n'); err != nil || size == 0 {
			return err
		}
	}
}
