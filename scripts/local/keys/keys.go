// Package keys keeps the platform's secrets of one home: made once, readable
// by their owner alone, one file each, as Cloud Run mounts them. The functions
// read the files; a local server of Secret Manager's API serves and changes the
// same ones.
//
// A new secret of the platform needs a line in generators.
package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/stripe"
)

// generators makes the first version of each secret.
var generators = map[string]func(now time.Time) ([]byte, error){
	secrets.SigningKeys:  func(now time.Time) ([]byte, error) { return identity.GenerateKeySet(now).MarshalJSON() },
	secrets.EnvelopeKeys: ring,
	secrets.HopKey:       ring,
	secrets.CursorKey:    ring,
	// Of the stand-in. Whoever has an account sets STRIPE_SECRET_KEY and
	// STRIPE_WEBHOOK_SECRETS, which come first.
	secrets.StripeKey:      func(time.Time) ([]byte, error) { return []byte(stripe.Key), nil },
	secrets.StripeWebhooks: func(time.Time) ([]byte, error) { return []byte("whsec_" + rand.Text()), nil },
}

func ring(now time.Time) ([]byte, error) { return secrets.GenerateRing(now).MarshalJSON() }

// Store is a directory of secrets.
type Store struct {
	Dir string
}

// Load reads the secrets and makes those that are missing, in the directory
// too. What is there is never replaced: sessions and sealed columns depend on it.
func (s Store) Load(now time.Time) (map[string][]byte, error) {
	return s.load(now, generators)
}

func (s Store) load(now time.Time, makers map[string]func(time.Time) ([]byte, error)) (map[string][]byte, error) {
	values, err := s.read()
	if err != nil {
		return nil, err
	}
	missing := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(makers)) {
		if len(values[name]) > 0 {
			continue
		}
		value, err := makers[name](now)
		if err != nil {
			return nil, fmt.Errorf("make the secret %s: %w", name, err)
		}
		values[name], missing[name] = value, value
	}
	return values, s.Save(missing)
}

func (s Store) read() (map[string][]byte, error) {
	values := map[string][]byte{}
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() || strings.HasPrefix(entry.Name(), ".") { // A dot: left by an interrupted write.
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.Dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the secrets: %w", err)
		}
		values[entry.Name()] = data
	}
	return values, nil
}

// Save writes those of the values that differ from what is there. The stand-in
// calls it for every change, so that a rotated key survives the run and reaches
// the functions that read files.
func (s Store) Save(values map[string][]byte) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("make room for the secrets: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		file := filepath.Join(s.Dir, name)
		if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, values[name]) {
			continue
		}
		if err := state.WritePrivate(file, values[name]); err != nil {
			return err
		}
	}
	return nil
}

// Mount copies the platform's secrets from elsewhere into the directory, as
// Cloud Run does from Secret Manager.
func (s Store) Mount(ctx context.Context, from secrets.Source) error {
	values := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(generators)) {
		payload, err := from.Fetch(ctx, name)
		if err != nil {
			return fmt.Errorf("fetch the secret %s: %w", name, err)
		}
		values[name] = payload.Data
	}
	return s.Save(values)
}
