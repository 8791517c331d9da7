package dns

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func start(t *testing.T) (*Server, *net.Resolver) {
	t.Helper()
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Address())
	}}
}

func TestServer(t *testing.T) {
	t.Parallel()
	s, r := start(t)
	long := strings.Repeat("x", 300)
	s.SetTXT("Work.Example.com.", "one", long)
	got, err := r.LookupTXT(t.Context(), "work.example.com.")
	if err != nil || !slices.Equal(got, []string{"one", long}) {
		t.Errorf("%v, %v", got, err)
	}
	s.SetTXT("work.example.com")
	_, err = r.LookupTXT(t.Context(), "work.example.com.")
	if dns := (*net.DNSError)(nil); !errors.As(err, &dns) || !dns.IsNotFound || dns.IsTemporary {
		t.Errorf("a name that is not there: %v", err)
	}
	s.Silence(true)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := r.LookupTXT(ctx, "work.example.com."); err == nil {
		t.Error("a silent server answered")
	}
	if s.reply([]byte("no question")) != nil {
		t.Error("answered what is no question")
	}
	question := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("a.example."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}}}
	packed, err := question.Pack()
	if err != nil || s.reply(packed) != nil {
		t.Errorf("a silent server replied (%v)", err)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	addr, ok := s.conn.LocalAddr().(*net.UDPAddr)
	if !ok || Free(addr.Port) {
		t.Errorf("%v is free", addr)
	}
	if err := s.Close(); err != nil || !Free(addr.Port) {
		t.Errorf("%v is taken: %v", addr, err)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	s, r := start(t)
	send := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, Prefix+path, strings.NewReader(body)))
		return w
	}
	if w := send(http.MethodPut, "a.example/", ""); w.Code != http.StatusBadRequest {
		t.Errorf("no text: %d", w.Code)
	}
	if w := send(http.MethodPut, "a.example/", "one\ntwo\n"); w.Code != http.StatusNoContent {
		t.Errorf("put: %d", w.Code)
	}
	if got, err := r.LookupTXT(t.Context(), "a.example."); err != nil || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%v, %v", got, err)
	}
	if w := send(http.MethodGet, "", ""); w.Body.String() != `{"a.example":["one","two"]}`+"\n" {
		t.Errorf("listed %s", w.Body)
	}
	if w := send(http.MethodDelete, "a.example/", ""); w.Code != http.StatusNoContent {
		t.Errorf("delete: %d", w.Code)
	}
	if _, err := r.LookupTXT(t.Context(), "a.example."); err == nil {
		t.Error("it is still there")
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dns.json")
	open := func() *Server {
		t.Helper()
		s, err := Listen("127.0.0.1:0", WithFile(file))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for _, name := range []string{"a.example", "b.example"} {
		if err := s.Set(name, "one"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Set("b.example"), s.Close()); err != nil {
		t.Fatal(err)
	}
	again := open()
	if got := maps.Clone(again.records); len(got) != 1 || !slices.Equal(got["a.example"], []string{"one"}) {
		t.Errorf("after a restart: %v", got)
	}
	again.file = filepath.Join(file, "no folder")
	w := httptest.NewRecorder()
	again.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodDelete, Prefix+"a.example/", http.NoBody))
	if w.Code != http.StatusInternalServerError || len(again.records) != 1 {
		t.Errorf("what cannot be kept was taken: %d, %v", w.Code, again.records)
	}
	_ = again.Close()
	for _, text := range []string{"null", "[]", "{"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen("127.0.0.1:0", WithFile(file)); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
