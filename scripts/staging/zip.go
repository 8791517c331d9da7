package staging

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// epoch is the time of every file in an archive: the clock of whoever packs it
// must not show.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// pack writes dir into a zip with sorted names, fixed times and fixed modes, so
// that the same files give the same bytes.
func pack(dir, file string) (size int64, sum string, err error) {
	out, err := os.Create(file)
	if err != nil {
		return 0, "", err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	hash := sha256.New()
	w := zip.NewWriter(io.MultiWriter(out, hash))
	// WalkDir goes in lexical order.
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: filepath.ToSlash(rel), Method: zip.Deflate, Modified: epoch}
		header.SetMode(0o644)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		_, err = entry.Write(raw)
		return err
	})
	if err != nil {
		return 0, "", err
	}
	if err := w.Close(); err != nil {
		return 0, "", err
	}
	info, err := out.Stat()
	if err != nil {
		return 0, "", err
	}
	return info.Size(), hex.EncodeToString(hash.Sum(nil)), nil
}

// limits on what unpack takes: far above any function, far below a disk.
const (
	maxFiles = 50_000
	maxBytes = 1 << 30
)

// unpack writes the files of an archive below dir.
func unpack(file, dir string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	if len(r.File) > maxFiles {
		return fmt.Errorf("%s has %d files", file, len(r.File))
	}
	left := int64(maxBytes)
	for _, f := range r.File {
		if !filepath.IsLocal(f.Name) {
			return fmt.Errorf("%s names %q, outside of it", file, f.Name)
		}
		n, err := extract(f, filepath.Join(dir, filepath.FromSlash(f.Name)), left)
		if err != nil {
			return err
		}
		if left -= n; left <= 0 {
			return fmt.Errorf("%s is larger than %d bytes", file, int64(maxBytes))
		}
	}
	return nil
}

func extract(f *zip.File, to string, limit int64) (n int64, err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	in, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(out, io.LimitReader(in, limit))
	if e := out.Close(); err == nil {
		err = e
	}
	return n, err
}
