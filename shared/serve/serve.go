// Package serve hosts a function's handler: it opens the function on its first
// request, so that a process starts without waiting for anything, and closes it
// when the platform asks the process to end.
//
// The function package registers [Lazy] with the functions framework in its one
// init; its cmd/main.go calls serve/host, which serves the same function with
// serve/gcp (Cloud Run, and any machine) or serve/lambda (AWS). Those are the
// only packages that know a platform; to host functions elsewhere, add a third
// beside them.
package serve

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	_ "github.com/coditect/platform/shared/prefault"
	"github.com/coditect/platform/shared/problem"
)

// App is a function that is open: what it serves and how to give back what it
// holds.
type App struct {
	Name    string
	Handler http.Handler
	// Close gives back connections. It is nil when there are none.
	Close func(ctx context.Context) error
}

// Open is a function's only constructor. It dials nothing that it can put off,
// and fails only on what another try may overcome or a person must mend.
type Open func(ctx context.Context, lookup config.Lookup) (*App, error)

// retryAfter is when a client may try again after a failed opening.
const retryAfter = 2 * time.Second

// Instance is a function of this process, opened by its first request.
type Instance struct {
	open   Open
	lookup config.Lookup

	// serving is app until the end: requests after the first take no lock.
	serving atomic.Pointer[App]

	mu     sync.Mutex
	app    *App
	closed bool
}

// Lazy is what a function registers with the functions framework: a handler
// that reads its configuration from the environment. Nothing happens before the
// first request.
func Lazy(open Open) http.HandlerFunc {
	i := New(open, config.Environ)
	return func(w http.ResponseWriter, r *http.Request) {
		collectEarlier()
		i.ServeHTTP(w, r)
	}
}

// gcPercent is GOGC of a deployed function. What lives in one is a few MiB, and
// what a request leaves is garbage: at Go's own 100 the heap under load is twice
// as large, for one percent of the CPU.
const gcPercent = 60

var collectEarlier = sync.OnceFunc(setGCPercent)

// setGCPercent leaves what the environment's GOGC says.
func setGCPercent() {
	const standard = 100
	if was := debug.SetGCPercent(gcPercent); was != standard {
		debug.SetGCPercent(was)
	}
}

// New makes an instance that is opened with lookup.
func New(open Open, lookup config.Lookup) *Instance { return &Instance{open: open, lookup: lookup} }

var (
	errOpening = errs.New(errs.Unavailable, "unavailable", "The service is not available at the moment.").WithRetry(retryAfter)
	errClosing = errs.New(errs.Unavailable, "shutting_down", "The service is shutting down.").WithRetry(retryAfter)
)

// live is where the platform asks whether the process still answers
// (terraform/modules/function). No operation is there: theirs begin with /api/.
const live = "/livez"

// ServeHTTP opens the function if need be and serves the request. A failed
// opening answers 503 and is forgotten: the next request tries again. Whether the
// process lives is answered without opening anything, so that a database that is
// away ends no instance; and with 204, which no run of a schedule is answered with.
func (i *Instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == live && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	app, err := i.get(r.Context())
	if err != nil {
		slog.LogAttrs(r.Context(), slog.LevelError, "function did not open", slog.String("error", err.Error()))
		problem.Write(w, r, r.Header.Get("X-Request-Id"), err)
		return
	}
	app.Handler.ServeHTTP(w, r)
}

func (i *Instance) get(ctx context.Context) (*App, error) {
	if app := i.serving.Load(); app != nil {
		return app, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil, errClosing
	}
	if i.app != nil {
		return i.app, nil
	}
	// What is opened outlives the request that opens it.
	app, err := i.open(context.WithoutCancel(ctx), i.lookup)
	if err != nil {
		return nil, errOpening.WithCause(err)
	}
	i.app = app
	i.serving.Store(app)
	return app, nil
}

// Close closes the function if it was opened. Requests that come later are
// answered 503.
func (i *Instance) Close(ctx context.Context) error {
	i.mu.Lock()
	app, again := i.app, i.closed
	i.closed = true
	i.serving.Store(nil)
	i.mu.Unlock()
	if again || app == nil || app.Close == nil {
		return nil
	}
	return app.Close(ctx)
}
