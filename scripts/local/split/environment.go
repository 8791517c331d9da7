package split

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/secrets"
)

// environment makes what each process is told: what its deployment sets, and
// the person's own settings beside it.
type environment struct {
	own    []string
	lookup config.Lookup
	dir    string // of the secrets as each process has them mounted
}

// decided are the variables that a deployment sets for each service. A value of
// the person's own reaches a process by way of the lookup or not at all.
var decided = []string{
	"PORT", "HOST", "FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "AWS_LAMBDA_RUNTIME_API",
	"DATABASE_URL", "SYSTEM_DATABASE_URL", "MIGRATE_DATABASE_URL", "REDIS_URL",
	"SECRETS_DIR", "SECRETS_ENDPOINT", "GOOGLE_CLOUD_PROJECT", "TOKEN_ISSUER", "JWKS_URL", "UPSTREAMS", "TRUSTED_HOPS",
	"TASKS_ENDPOINT", "TASKS_LOCATION", "PUBSUB_ENDPOINT", "PUSH_ISSUER", "PUSH_JWKS_URL", "PUSH_SERVICE_ACCOUNT", "PUSH_SERVICE_ACCOUNTS",
	"PUSH_AUDIENCE", "FUNCTION_URLS", "FUNCTION_URL", "ROUTER_NUDGE_URL",
	"OBJECTS_URL", "OBJECTS_PUBLIC_URL", "OBJECTS_SIGNING_KEY", "MAIL_URL", "MAIL_FROM", "APP_URL", "API_URL", "RELAY_URL", "DEPLOYMENT_ENVIRONMENT", "STRIPE_API_URL",
}

// both is what routers and functions are told alike.
var both = []string{"REDIS_URL", "SECRETS_ENDPOINT", "GOOGLE_CLOUD_PROJECT", "TOKEN_ISSUER", "JWKS_URL"}

// around are the variables by which a function knows its queues and schedules,
// the relay finds them, and who needs objects or mail finds those.
var around = []string{
	"TASKS_ENDPOINT", "TASKS_LOCATION", "PUBSUB_ENDPOINT", "PUSH_ISSUER", "PUSH_JWKS_URL", "PUSH_SERVICE_ACCOUNT", "PUSH_SERVICE_ACCOUNTS",
	"OBJECTS_URL", "OBJECTS_PUBLIC_URL", "OBJECTS_SIGNING_KEY", "MAIL_URL", "MAIL_FROM", "APP_URL", "API_URL", "RELAY_URL", "DEPLOYMENT_ENVIRONMENT", "STRIPE_API_URL",
}

func (e environment) function(p Program) ([]string, error) {
	names := slices.Concat(both, around)
	switch p.Database {
	case "app":
		names = append(names, "DATABASE_URL")
	case "system":
		names = append(names, "SYSTEM_DATABASE_URL")
	case "both":
		names = append(names, "DATABASE_URL", "SYSTEM_DATABASE_URL")
	}
	vars, err := e.vars(p.Name, names, p.Secrets)
	return append(vars, "FUNCTION_TARGET="+p.Entry, "FUNCTION_SIGNATURE_TYPE=http", "K_SERVICE="+p.Name), err
}

// router is told where the functions are, and the relay, if there is one.
func (e environment) router(upstreams, relay string) ([]string, error) {
	vars, err := e.vars("router", both, []string{secrets.HopKey})
	if relay != "" {
		vars = append(vars, "ROUTER_NUDGE_URL="+relay)
	}
	return append(vars, "UPSTREAMS="+upstreams, "TRUSTED_HOPS=1", "HOST=127.0.0.1"), err
}

func (e environment) vars(name string, names, mounted []string) ([]string, error) {
	vars := slices.DeleteFunc(slices.Clone(e.own), func(pair string) bool {
		variable, _, _ := strings.Cut(pair, "=")
		return slices.Contains(decided, variable)
	})
	for _, variable := range names {
		if value, ok := e.lookup(variable); ok {
			vars = append(vars, variable+"="+value)
		}
	}
	dir, err := e.mount(name, mounted)
	return append(vars, "SECRETS_DIR="+dir), err
}

// mount gives a process a folder with its own secrets and no others. They are
// links, so that a rotation reaches everybody at once, as with a mounted one.
func (e environment) mount(name string, mounted []string) (string, error) {
	from, _ := e.lookup("SECRETS_DIR")
	dir := filepath.Join(e.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, f := range old {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	for _, secret := range mounted {
		if err := os.Symlink(filepath.Join(from, secret), filepath.Join(dir, secret)); err != nil {
			return "", fmt.Errorf("mount the secret %s for %s: %w", secret, name, err)
		}
	}
	return dir, nil
}
