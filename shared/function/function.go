// Package function puts together what the HTTP functions have in common: the
// configuration they share, the way to the database, the caches before it, and
// the chain that every request runs through. A function's Open calls [Open] and
// adds its operations with [Base.App]. Nothing here dials.
//
// A new thing that every function needs becomes a field of [Base]; what one
// function needs stays in its own open.go, as each pays for what it links.
package function

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/telemetry"
)

// Config is what every HTTP function is told by its environment.
type Config struct {
	Database db.Config
	Cache    cache.Config
	Identity identity.Config
	Secrets  secrets.Config
	Logs     logs.Config
	Traces   telemetry.Config
	// JWKSURL is where the public keys of our own tokens are. auth, which has
	// the private ones, does without.
	JWKSURL string `env:"JWKS_URL"`
	// SecretsDir is where the platform mounts secrets as files, if it does;
	// those in the environment come first.
	SecretsDir string `env:"SECRETS_DIR"`
	// Timeout bounds a request. It is below the platform's own limits, so that
	// the client reads a problem and not a broken connection.
	Timeout time.Duration `env:"REQUEST_TIMEOUT" envDefault:"25s"`
	// CheckResponses turns an answer that the OpenAPI document does not
	// describe into an error. For tests.
	CheckResponses bool `env:"CHECK_RESPONSES"`
}

// Base is what an open function holds.
type Base struct {
	Config  Config
	Name    string
	DB      *db.DB
	Cache   *cache.Client
	Access  *access.Resolver
	Secrets *secrets.Store
	Box     *secrets.Box
	Log     *slog.Logger

	traces   *telemetry.Telemetry
	verifier *identity.Verifier
	hops     *hop.Keys
	cursors  *page.Codec
}

type options struct {
	keys func(*secrets.Store) identity.PublicKeys
}

// An Option changes a Base from the ordinary.
type Option func(*options)

// WithOwnKeys verifies tokens with the signing keys themselves instead of
// fetching the public ones: for auth, which serves those.
func WithOwnKeys() Option {
	return func(o *options) {
		o.keys = func(s *secrets.Store) identity.PublicKeys {
			return identity.OwnKeys(secrets.Parse(s, secrets.SigningKeys, identity.ParseKeySet))
		}
	}
}

// Open makes the base of the function called name.
func Open(lookup config.Lookup, name string, opts ...Option) (*Base, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	b := &Base{Config: cfg, Name: name, Log: logs.New(os.Stderr, cfg.Logs).With("function", name)}
	b.Secrets = Mounted(lookup, cfg.SecretsDir, cfg.Secrets)
	if b.DB, err = db.Open(cfg.Database, b.Log); err != nil {
		return nil, err
	}
	if b.Cache, err = cache.Open(cfg.Cache); err != nil {
		b.DB.Close()
		return nil, err
	}
	b.Cache.OnChange(func(up bool) {
		if up {
			b.Log.Info("redis answers again")
		} else {
			b.Log.Warn("redis does not answer: reading the truth instead")
		}
	})
	if b.traces, err = openTelemetry(context.Background(), cfg.Traces); err != nil {
		return nil, errors.Join(err, b.close())
	}
	var keys identity.PublicKeys
	switch {
	case o.keys != nil:
		keys = o.keys(b.Secrets)
	case cfg.JWKSURL != "":
		keys = identity.NewRemoteKeys(cfg.JWKSURL, nil)
	default:
		return nil, errors.Join(config.Invalid("JWKS_URL", "must be set"), b.close())
	}
	b.Access = access.New(b.DB, b.Cache, b.Log)
	b.Box = secrets.NewBox(secrets.Parse(b.Secrets, secrets.EnvelopeKeys, secrets.ParseRing))
	b.verifier = identity.NewVerifier(cfg.Identity, keys)
	b.hops = hop.New(secrets.Parse(b.Secrets, secrets.HopKey, secrets.ParseRing))
	b.cursors = page.NewCodec(cursorKeys{secrets.Parse(b.Secrets, secrets.CursorKey, secrets.ParseRing)}, nil)
	return b, nil
}

// Mounted is the store of what the platform mounted: variables first, then
// files. Files follow a rotation within a refresh of the store, as Secret
// Manager's client would, and spare the function seventeen megabytes of it;
// variables follow with the next revision.
func Mounted(lookup config.Lookup, dir string, cfg secrets.Config) *secrets.Store {
	source := secrets.Environment(lookup)
	if dir != "" {
		source = secrets.First(source, secrets.Directory(os.DirFS(dir)))
	}
	return secrets.New(source, cfg)
}

// App is the function with its operations, ready to serve.
func (b *Base) App(operations ...api.Operation) *serve.App {
	handler := api.Handler(api.Function{Name: b.Name, Operations: operations}, api.Deps{
		Verifier: b.verifier, Access: b.Access, Hop: hops{b.hops}, Cursors: b.cursors, Sealer: sealer{b.Box},
		Logger: b.Log, Timeout: b.Config.Timeout, CheckResponses: b.Config.CheckResponses,
	})
	if b.traces.On() {
		handler = b.traces.Middleware(func(*http.Request) string { return b.Name })(handler)
	}
	return &serve.App{
		Name: b.Name, Handler: handler,
		Close: func(ctx context.Context) error { return errors.Join(b.traces.Shutdown(ctx), b.close()) },
	}
}

func (b *Base) close() error {
	b.DB.Close()
	return b.Cache.Close()
}

// hops tells the chain what the router vouches for.
type hops struct{ keys *hop.Keys }

func (h hops) Verify(r *http.Request) (netip.Addr, error) {
	v, err := h.keys.Verify(r.Context(), r.Header.Get(hop.Header), r.Method, r.URL.EscapedPath())
	return v.ClientIP, err
}

// cursorKeys gives the ring to the codec: the key of the moment first.
type cursorKeys struct{ ring secrets.KeyRing }

func (c cursorKeys) CursorKeys(ctx context.Context) ([]page.Key, error) {
	ring, err := c.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	current := ring.Current(time.Now())
	keys := []page.Key{{ID: current.ID, Secret: current.Bytes}}
	for _, k := range ring.Keys() {
		if k.ID != current.ID {
			keys = append(keys, page.Key{ID: k.ID, Secret: k.Bytes})
		}
	}
	return keys, nil
}

// sealer keeps the answers that hold tokens. Whose an answer is, is part of
// what it is bound to.
type sealer struct{ box *secrets.Box }

func binding(bound []byte) secrets.Binding {
	return secrets.Binding{Purpose: "idempotent-answer:" + string(bound)}
}

func (s sealer) Seal(ctx context.Context, plain, bound []byte) ([]byte, error) {
	return s.box.Seal(ctx, plain, binding(bound))
}

func (s sealer) Open(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	return s.box.Open(ctx, sealed, binding(bound))
}
