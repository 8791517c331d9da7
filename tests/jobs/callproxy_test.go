package jobs_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/functest"
)

// httpProxy stands before a process and knows which requests pass.
type httpProxy struct {
	stage  *stage
	link   string
	url    string
	client *http.Client
	target string
	signs  bool // adds the token that a queue without tokens leaves out
}

func (s *stage) httpProxy(t *testing.T, link, target string) *httpProxy {
	t.Helper()
	p := &httpProxy{stage: s, link: link, target: target, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	server := httptest.NewServer(p)
	p.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

// ServeHTTP passes a request on. A connection that breaks is all that the caller
// sees of a process that was killed.
func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	text := r.Method + " " + r.URL.Path + "\n" + string(body)
	if p.stage.due(p.link, before, text, text) {
		p.stage.fire()
		if !p.stage.point.goesOn {
			panic(http.ErrAbortHandler)
		}
	}
	held := p.stage.due(p.link, after, text, text)
	out, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	if p.signs && out.Header.Get("Authorization") == "" {
		token, err := issuer().Token(functest.ServiceAccount, p.url)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		out.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.client.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if held {
		p.stage.fire()
	}
	if err != nil || held && !p.stage.point.goesOn {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer)
}

// callProxy stands before the queue servers and knows which calls pass.
type callProxy struct {
	stage   *stage
	conn    *grpc.ClientConn
	address string
	down    atomic.Bool
}

// callProxy passes calls to target on, whatever they are.
func (s *stage) callProxy(t *testing.T, target string) *callProxy {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &callProxy{stage: s, conn: conn, address: l.Addr().String()}
	server := grpc.NewServer(grpc.ForceServerCodecV2(opaque{}), grpc.UnknownServiceHandler(p.pass))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		_ = conn.Close()
	})
	return p
}

func (p *callProxy) pass(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var in, out []byte
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	name := path.Base(method)
	if p.stage.due("queues", before, name, name) {
		p.stage.fire()
		return status.Error(codes.Unavailable, "killed")
	}
	if p.down.Load() {
		return status.Error(codes.Unavailable, "down")
	}
	held := p.stage.due("queues", after, name, name)
	// Not the caller's context: what the service was asked for, it does.
	err := p.conn.Invoke(context.WithoutCancel(stream.Context()), method, &in, &out, grpc.ForceCodecV2(opaque{}))
	if held {
		p.stage.fire()
		if !p.stage.point.goesOn {
			return status.Error(codes.Unavailable, "killed")
		}
	}
	if err != nil {
		return err
	}
	return stream.SendMsg(&out)
}

// opaque passes messages on without knowing what they are.
type opaque struct{}

func (opaque) Name() string { return "proto" }

func (opaque) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (opaque) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = bytes.Clone(data.Materialize())
	return nil
}

// mailProxy stands between the mailer and the mail server and knows the lines
// of SMTP: what is seen is DATA, and the end of the data with the server's 250.
func (s *stage) mailProxy(t *testing.T, target string, down *atomic.Bool) string {
	t.Helper()
	return listen(t, func(client net.Conn) {
		if down.Load() {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		var held atomic.Bool
		go func() {
			defer client.Close()
			buf := make([]byte, 4096)
			for {
				n, err := server.Read(buf)
				if n > 0 && held.Load() {
					s.fire()
					return
				}
				if _, werr := client.Write(buf[:n]); werr != nil || err != nil {
					return
				}
			}
		}()
		buf, data := make([]byte, 64<<10), false
		for tail := ""; ; {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			text := tail + string(buf[:n])
			switch {
			case !data && strings.HasPrefix(strings.ToUpper(text), "DATA\r\n"):
				data = true
				if s.due("smtp", before, "DATA", "DATA") {
					s.fire()
					return
				}
			case data && strings.HasSuffix(text, "\r\n.\r\n"):
				data = false
				held.Store(s.due("smtp", after, "DATA", "DATA"))
			}
			tail = text[max(0, len(text)-4):]
			if !data {
				tail = ""
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
}
