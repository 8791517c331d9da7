package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Fingerprint is a hash, in hex, of all that the archive of the function in
// folder follows from: its sources and those of its siblings, go.sum included,
// which fixes the rest. It costs milliseconds where Stage costs seconds.
func Fingerprint(root, folder string) (string, error) {
	siblings, err := replaced(root, folder)
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp("", "fingerprint-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	for _, module := range append([]string{folder}, siblings...) {
		if err := copySources(filepath.Join(root, module), filepath.Join(work, module)); err != nil {
			return "", err
		}
	}
	hash := sha256.New()
	err = filepath.WalkDir(work, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(work, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.ToSlash(rel), len(raw))
		hash.Write(raw)
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}
