// Package rotation is the function that gives each key secret its next key when
// the newest has reached its age: keys that sign access tokens and hops after a
// month, those of cursors and of sealed values after three (shared/keyrotation).
//
// A new key counts a little later than it is published, so that every instance
// has read it before any makes something with it; the old ones stay for as long
// as anything they made may come back, those of sealed values for ever. So no
// token, cursor or value fails because of a rotation.
//
// A run that comes twice finds that a key is to come and adds none. Secret
// Manager has no way to add a version only if nobody else did, but it counts
// versions: a run that was not alone gathers the keys of all versions since the
// one it read in one more. Should it die before that, the key that is missing
// from the latest version was never used, as its time had not come.
//
// When a key leaked, do not wait for this: docs/runbooks/key-rotation.md.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/keyrotation"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/secrets/manager"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "rotation"

// Config is what the function is told besides what every schedule is.
type Config struct {
	Manager manager.Config
	// Secrets are those that are rotated by the clock.
	Secrets []string `env:"ROTATION_SECRETS" envDefault:"signing-keys,hop-key,cursor-key,envelope-keys"`
}

// Validate refuses names that nobody knows how to rotate.
func (c Config) Validate() error {
	for _, name := range c.Secrets {
		if !slices.Contains(keyrotation.Secrets(), name) {
			return config.Invalid("ROTATION_SECRETS", "must be among the key secrets")
		}
	}
	return nil
}

// keeper is where secrets are kept: *manager.Source.
type keeper interface {
	secrets.Source
	Version(ctx context.Context, name, version string) (secrets.Payload, error)
	Add(ctx context.Context, name string, data []byte) (version string, err error)
}

type service struct {
	names  []string
	keeper keeper
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup) }

func open(lookup config.Lookup, opts ...schedule.Option) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	base, err := schedule.Open(lookup, Name, opts...)
	if err != nil {
		return nil, err
	}
	source := manager.New(cfg.Manager)
	base.OnClose(source.Close)
	s := &service{names: cfg.Secrets, keeper: source}
	return base.App(s.run), nil
}

// run rotates what is due. A secret that fails keeps no other from its turn.
func (s *service) run(ctx context.Context, run *schedule.Run) error {
	var faults []error
	for _, name := range s.names {
		if err := s.rotate(ctx, run, name); err != nil {
			faults = append(faults, fmt.Errorf("secret %s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

func (s *service) rotate(ctx context.Context, run *schedule.Run, name string) error {
	latest, err := s.keeper.Fetch(ctx, name)
	if err != nil {
		return err
	}
	next, err := keyrotation.Planned(name, latest.Data, run.Now)
	if err != nil || next == nil {
		return err
	}
	version, err := s.keeper.Add(ctx, name, next)
	if err != nil {
		return err
	}
	run.Count(name, 1)
	return s.gather(ctx, name, latest.Version, version, next)
}

// gather adds one more version when others were added between the one that was
// read and the one that was made of it.
func (s *service) gather(ctx context.Context, name, read, made string, next []byte) error {
	from, err := strconv.Atoi(read)
	if err != nil {
		return fmt.Errorf("version %q: %w", read, err)
	}
	to, err := strconv.Atoi(made)
	if err != nil {
		return fmt.Errorf("version %q: %w", made, err)
	}
	var others [][]byte
	for v := from + 1; v < to; v++ {
		p, err := s.keeper.Version(ctx, name, strconv.Itoa(v))
		if errors.Is(err, secrets.ErrAbsent) {
			continue // withdrawn on purpose
		}
		if err != nil {
			return err
		}
		others = append(others, p.Data)
	}
	if len(others) == 0 {
		return nil
	}
	all, err := keyrotation.Merge(name, next, others...)
	if err != nil {
		return err
	}
	made, err = s.keeper.Add(ctx, name, all)
	if err != nil {
		return err
	}
	return s.gather(ctx, name, strconv.Itoa(to), made, all)
}
