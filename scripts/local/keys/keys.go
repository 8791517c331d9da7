// Package keys keeps the platform's secrets of one home: made once, readable
// by their owner alone, served to the functions by a local server of Secret
// Manager's API.
//
// A new secret of the platform needs a line in generators.
package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/coditect/platform/scripts/local/state"
)

// File is the name of the secrets' file in a home.
const File = "secrets.json"

// Store is the file of a home.
type Store struct {
	Home state.Home
}

// Load reads the home's secrets and makes those that are missing, in the file
// too. What is there is never replaced: sessions and sealed columns depend on it.
func (s Store) Load(now time.Time) (map[string][]byte, error) {
	return s.load(now, generators)
}

func (s Store) load(now time.Time, make map[string]func(time.Time) ([]byte, error)) (map[string][]byte, error) {
	values, err := s.read()
	if err != nil {
		return nil, err
	}
	changed := false
	for _, name := range slices.Sorted(maps.Keys(make)) {
		if len(values[name]) > 0 {
			continue
		}
		value, err := make[name](now)
		if err != nil {
			return nil, fmt.Errorf("make the secret %s: %w", name, err)
		}
		values[name], changed = value, true
	}
	if !changed {
		return values, nil
	}
	return values, s.Save(values)
}

func (s Store) read() (map[string][]byte, error) {
	values := map[string][]byte{}
	data, err := os.ReadFile(s.Home.Path(File))
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	text := map[string]string{}
	if err := json.Unmarshal(data, &text); err != nil {
		return nil, fmt.Errorf("%s is damaged; `make reset` starts over: %w", s.Home.Path(File), err)
	}
	for name, value := range text {
		values[name] = []byte(value)
	}
	return values, nil
}

// Save replaces the file with these values. The stand-in calls it for every
// change, so that a rotated key survives the run.
func (s Store) Save(values map[string][]byte) error {
	text := make(map[string]string, len(values))
	for name, value := range values {
		text[name] = string(value)
	}
	data, err := json.MarshalIndent(text, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the secrets: %w", err)
	}
	return state.WritePrivate(s.Home.Path(File), append(data, '\n'))
}
