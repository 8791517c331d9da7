package split

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// router stands for one behind the balancer and answers with what it was sent.
func router(t *testing.T, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Router", name)
		_, _ = io.WriteString(w, strings.Join([]string{r.Method, r.Host, strings.Join(r.Header["X-Forwarded-For"], "+"), string(body)}, " "))
	}))
	t.Cleanup(s.Close)
	return s
}

func through(t *testing.T, h http.Handler, method, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://acme.localhost/x", strings.NewReader(body))
	r.RemoteAddr = "198.51.100.7:4711"
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// nobody is where no router listens. A port that was free a moment ago is no
// such place: whoever starts beside this test may be given it.
const nobody = "127.0.0.1:1"

func TestBalancer(t *testing.T) {
	t.Parallel()
	one, two := router(t, "one"), router(t, "two")
	h := newBalancer([]string{one.Listener.Addr().String(), two.Listener.Addr().String()})
	turns := map[string]int{}
	for range 6 {
		w := through(t, h, http.MethodPost, "body")
		if got := w.Body.String(); got != "POST acme.localhost 203.0.113.9, 198.51.100.7 body" {
			t.Errorf("a router is sent %q", got)
		}
		turns[w.Header().Get("X-Router")]++
	}
	if turns["one"] != 3 || turns["two"] != 3 {
		t.Errorf("turns: %v", turns)
	}

	h = newBalancer([]string{nobody, two.Listener.Addr().String()})
	for range 4 {
		if w := through(t, h, http.MethodPost, "body"); w.Header().Get("X-Router") != "two" || !strings.HasSuffix(w.Body.String(), " body") {
			t.Errorf("with one router: %d %q", w.Code, w.Body)
		}
	}
	h = newBalancer([]string{nobody, nobody})
	if w := through(t, h, http.MethodGet, ""); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("with no router: %d %v", w.Code, w.Header())
	}
}

// What may have been done is not done again.
func TestBalancerAsksOnce(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		panic(http.ErrAbortHandler)
	}))
	defer broken.Close()
	at := broken.Listener.Addr().String()
	h := newBalancer([]string{at, at})
	for method, want := range map[string]int{http.MethodPost: 1, http.MethodGet: 2} {
		if w := through(t, h, method, ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", method, w.Code)
		}
		if n := len(asked); n != want {
			t.Errorf("%s was asked %d times", method, n)
		}
		for len(asked) > 0 {
			<-asked
		}
	}
}
