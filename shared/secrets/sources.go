package secrets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/coditect/platform/shared/config"
)

// Static is a Source over fixed values.
func Static(values map[string][]byte) Source { return static(values) }

type static map[string][]byte

func (s static) Fetch(_ context.Context, name string) (Payload, error) {
	data, ok := s[name]
	if !ok {
		return Payload{}, absent(name)
	}
	return byContent(data), nil
}

// Environment is a Source over secrets that the platform mounted as variables:
// signing-keys is SIGNING_KEYS. Such a value changes with the next revision
// only.
func Environment(lookup config.Lookup) Source { return environment(lookup) }

type environment config.Lookup

func (e environment) Fetch(_ context.Context, name string) (Payload, error) {
	value, ok := e(strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	if !ok || value == "" {
		return Payload{}, absent(name)
	}
	return byContent([]byte(value)), nil
}

// Latest is the file in a secret's folder that holds its newest version: Cloud
// Run mounts a folder for each secret, never two secrets into one
// (terraform/modules/function).
const Latest = "latest"

// Directory is a Source over secrets mounted as files: NAME, or [Latest] in a
// folder called NAME. Cloud Run fetches the latest version whenever such a file
// is read, so rotation works as it does with the client.
func Directory(dir fs.FS) Source { return directory{dir} }

type directory struct{ fs.FS }

func (d directory) Fetch(_ context.Context, name string) (Payload, error) {
	file := name
	if at, err := fs.Stat(d.FS, name); err == nil && at.IsDir() {
		file = path.Join(name, Latest)
	}
	data, err := fs.ReadFile(d.FS, file)
	if errors.Is(err, fs.ErrNotExist) {
		return Payload{}, absent(name)
	}
	if err != nil {
		return Payload{}, err
	}
	return byContent(data), nil
}

// First is a Source that asks each of sources in turn until one knows the name.
// Any failure but [ErrAbsent] ends the search: falling through to an older copy
// because the newest could not be reached would undo a rotation.
func First(sources ...Source) Source { return first(sources) }

type first []Source

func (f first) Fetch(ctx context.Context, name string) (Payload, error) {
	for _, s := range f {
		p, err := s.Fetch(ctx, name)
		if !errors.Is(err, ErrAbsent) {
			return p, err
		}
	}
	return Payload{}, absent(name)
}

func absent(name string) error { return fmt.Errorf("%w: %s", ErrAbsent, name) }

func byContent(data []byte) Payload {
	sum := sha256.Sum256(data)
	return Payload{Data: data, Version: hex.EncodeToString(sum[:8])}
}
