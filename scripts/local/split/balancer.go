package split

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/problem"
)

// balancer stands where the cloud's load balancer does: it sends requests to
// the routers in turn and says whom they came from.
type balancer struct {
	behind []string // host:port
	base   http.RoundTripper
	turn   atomic.Uint64
}

var errNoRouter = errs.New(errs.Unavailable, "unavailable", "The service does not answer at the moment. Try again shortly.").WithRetry(time.Second)

func newBalancer(behind []string) http.Handler {
	b := &balancer{behind: behind, base: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // what the client did not ask for
	}}
	return &httputil.ReverseProxy{
		Transport: b,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host
			// Appended to, as by every proxy; the router counts from the end.
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
		},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // The client left.
			}
			problem.Write(w, r, r.Header.Get("X-Request-Id"), errNoRouter.WithCause(err))
		},
	}
}

// RoundTrip asks the router whose turn it is, and the next one when it was not
// reached or when asking twice does no harm.
func (b *balancer) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	turn := b.turn.Add(1)
	for i := range uint64(len(b.behind)) {
		out := req.WithContext(req.Context())
		at := *req.URL
		at.Host = b.behind[(turn+i)%uint64(len(b.behind))]
		out.URL = &at
		if req.Body != nil && req.Body != http.NoBody {
			out.Body = io.NopCloser(req.Body) // A failed try closes its body, and the next one needs it.
		}
		if resp, err = b.base.RoundTrip(out); err == nil {
			return resp, nil
		}
		if !unreached(err) && req.Method != http.MethodGet && req.Method != http.MethodHead || req.Context().Err() != nil {
			break
		}
	}
	return nil, err
}

// unreached reports whether a connection was not even made.
func unreached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
