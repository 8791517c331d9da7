package bench

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/scripts/bench/peer"
	"github.com/coditect/platform/scripts/bench/spawn"
	"github.com/coditect/platform/scripts/local/split"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
)

// program is a function and how it is started.
type program struct {
	name, entry string
	args        []string
}

// needed are the functions that the lines go through, and those that these ask.
var needed = []string{"auth", "tenants", "users", "projects", "tasks"}

// limits are off the scale: what is measured is their cost, not their refusals.
var limits = []string{
	"RATE_TENANT_PER_MINUTE=1000000", "RATE_USER_PER_MINUTE=1000000", "RATE_ESSENTIAL_PER_MINUTE=1000000", "RATE_IP_PER_MINUTE=100000000",
	"SIGNIN_PAIR_PER_MINUTE=1000000", "SIGNIN_IP_PER_MINUTE=1000000", "SIGNIN_ACCOUNT_PER_HOUR=1000000",
	"REFRESH_PER_MINUTE=1000000", "REFRESH_IP_PER_MINUTE=1000000",
}

// single gives a process of the platform, and F in its place, the one CPU that an
// instance is deployed with (resources.cpu of functions.json).
const single = "GOMAXPROCS=1"

// programs builds the functions as they are deployed, or takes our own roles.
func (p *platform) programs(ctx context.Context) ([]program, error) {
	var out []program
	if p.o.Own {
		for _, name := range needed {
			out = append(out, program{name: name, args: []string{p.o.Self, peer.Word, "function", name}})
		}
		return out, nil
	}
	built, err := split.Build(ctx, p.o.Root, filepath.Join(p.o.Root, ".local", "split"), p.o.Out)
	if err != nil {
		return nil, err
	}
	for _, f := range built.Functions {
		out = append(out, program{name: f.Name, entry: f.Entry, args: []string{f.Binary}})
	}
	return out, nil
}

// upstreams are the addresses of all functions, as the router takes them, with
// tasks elsewhere if that is said. A function that does not run here has that
// of another, as nobody asks it.
func (p *platform) upstreams(tasks string) string {
	var out []string
	for _, f := range all.Functions() {
		address := p.functions["tenants"].URL()
		if child := p.functions[f.Name]; child != nil {
			address = child.URL()
		}
		if f.Name == "tasks" && tasks != "" {
			address = tasks
		}
		out = append(out, f.Name+"="+address)
	}
	return strings.Join(out, ",")
}

// shared is what every process of the platform is told.
func (p *platform) shared() []string {
	env := append(inherited(), limits...)
	for _, name := range []string{"REDIS_URL", "SECRETS_DIR", "SECRETS_ENDPOINT", "GOOGLE_CLOUD_PROJECT", "TOKEN_ISSUER", "JWKS_URL"} {
		env = append(env, name+"="+p.env(name))
	}
	return append(env, "HOST=127.0.0.1", single)
}

func (p *platform) functionSpec(f program) spawn.Spec {
	env := append(p.shared(), "DATABASE_URL="+p.env("DATABASE_URL"))
	if f.entry != "" {
		env = append(env, "FUNCTION_TARGET="+f.entry, "FUNCTION_SIGNATURE_TYPE=http", "K_SERVICE="+f.name)
	}
	return spawn.Spec{Name: f.name, Args: f.args, Env: append(env, p.profiled(f.name)...)}
}

func (p *platform) routerSpec(name, upstreams string) spawn.Spec {
	args := []string{filepath.Join(p.o.Root, ".local", "split", "router")}
	if p.o.Own {
		args = []string{p.o.Self, peer.Word, "router"}
	}
	return spawn.Spec{Name: name, Args: args, Env: append(append(p.shared(), "UPSTREAMS="+upstreams), p.profiled(name)...)}
}

// profilePorts are where our own variants serve their profiles.
var profilePorts = map[string]int{"auth": 28001, "tenants": 28002, "users": 28003, "projects": 28004, "tasks": 28005, "router": 28006, "edge": 28007, "floor": 28008, "queue": 28009, "relay": 28010, "worker": 28011}

// profiled has a process of ours serve its profile, if profiles are asked for.
func (p *platform) profiled(name string) []string {
	if p.o.Profile == "" {
		return nil
	}
	return []string{"BENCH_PPROF=" + strconv.Itoa(profilePorts[name])}
}

// startPeers starts what the platform is measured beside.
func (p *platform) startPeers(ctx context.Context) (err error) {
	file := p.o.Home.Path("exchanges.json")
	text, err := json.MarshalIndent(p.does, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return err
	}
	// As many connections as the product's functions have.
	pool, err := config.Load[db.Config](config.Map(map[string]string{"DATABASE_URL": p.env("DATABASE_URL")}))
	if err != nil {
		return err
	}
	start := func(name string, env ...string) *spawn.Process {
		if err != nil {
			return nil
		}
		var child *spawn.Process
		env = append(append(inherited(), "JWKS_URL="+p.env("JWKS_URL"), "REDIS_URL="+p.env("REDIS_URL")), env...)
		child, err = p.group.Start(ctx, spawn.Spec{Name: name, Args: []string{p.o.Self, peer.Word, name}, Env: append(env, p.profiled(name)...)})
		return child
	}
	p.floor = start("floor", "DATABASE_URL="+p.env("DATABASE_URL"), "BENCH_EXCHANGES="+file, "BENCH_CONNS="+strconv.Itoa(int(pool.MaxConns)), single)
	if p.backend = start("backend"); err != nil {
		return err
	}
	upstream := "BENCH_UPSTREAM=" + p.backend.Host()
	p.proxy = start("proxy", upstream, single)
	p.checked = start("checked", upstream, single)
	if err != nil {
		return err
	}
	// The router before the same backend. Its own questions go to the real
	// functions.
	p.one, err = p.group.Start(ctx, p.routerSpec("edge", p.upstreams(p.backend.URL())))
	return err
}

// signer signs tokens with the platform's own keys.
func (p *platform) signer(ctx context.Context) (*identity.Signer, error) {
	keys, err := signingKeys(ctx, p.env("SECRETS_DIR"))
	if err != nil {
		return nil, err
	}
	return identity.NewSigner(keys, p.env("TOKEN_ISSUER")), nil
}
