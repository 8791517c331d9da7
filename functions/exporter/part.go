package exporter

import (
	"bufio"
	"compress/flate"
	"context"
	"hash"
	"hash/crc32"
	"io"
	"strconv"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/sheet"
)

// part writes the object of one kind, whole or not at all.
//
// One cursor reads it: all its rows are of the moment in which it was opened.
func (x *exporting) part(ctx context.Context, k kind) (part, error) {
	var made part
	// A read that breaks with its connection is begun again by db.Read, so
	// everything starts inside.
	err := db.Read(ctx, x.db, x.principal(), func(tx *db.Tx) error {
		// The attempt is part of the key: one that was thought dead writes
		// beside this one, not over it.
		key := x.Key(partsFolder, strconv.Itoa(x.Attempt), k.name)
		w, err := x.newPartWriter(ctx, key)
		if err != nil {
			return err
		}
		defer w.object.Abort()
		rows := newRows(x.Params.Format, w, k)

		opened := declare(tx, k, x.Params.Format, x.state.AsOf)
		var n int64
		for {
			before := n
			_, err := next(tx, func(values [][]byte) error {
				n++
				return rows.row(values)
			}).Await(ctx)
			if err != nil {
				return err
			}
			if n == before {
				break
			}
			if err := x.Progress(ctx, x.percent(n)); err != nil {
				return err
			}
			if err := x.reached("within " + k.name); err != nil {
				return err
			}
		}
		if err := rows.end(); err != nil {
			return err
		}
		at, err := opened.Value()
		if err != nil {
			return err
		}
		if made, err = w.commit(); err != nil {
			return err
		}
		made.ObjectKey, made.Rows, made.ReadAt = key, n, at.UTC()
		return nil
	})
	return made, err
}

// partWriter compresses on the way and keeps what the archive's directory will
// say of the file.
type partWriter struct {
	object *blob.Writer
	out    *bufio.Writer
	flate  *flate.Writer
	crc    hash.Hash32
	size   int64
}

func (x *exporting) newPartWriter(ctx context.Context, key string) (*partWriter, error) {
	object, err := x.objects.Create(ctx, key, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	w := &partWriter{object: object, out: bufio.NewWriterSize(object, 64<<10), crc: crc32.NewIEEE()}
	// Text of this sort shrinks little more at higher levels, which take
	// several times as long.
	w.flate, err = flate.NewWriter(w.out, 3)
	return w, err
}

func (w *partWriter) Write(p []byte) (int, error) {
	n, err := w.flate.Write(p)
	_, _ = w.crc.Write(p[:n]) // a hash never fails
	w.size += int64(n)
	return n, err
}

func (w *partWriter) commit() (part, error) {
	if err := w.flate.Close(); err != nil {
		return part{}, err
	}
	if err := w.out.Flush(); err != nil {
		return part{}, err
	}
	if err := w.object.Commit(); err != nil {
		return part{}, err
	}
	return part{Size: w.size, Compressed: w.object.Size(), CRC32: w.crc.Sum32()}, nil
}

// rows writes a file's rows in its format.
type rows interface {
	row(values [][]byte) error
	end() error
}

func newRows(format string, w io.Writer, k kind) rows {
	if format == "csv" {
		return &table{sheet.NewWriter(w, len(k.columns)), k, false}
	}
	return &array{w: bufio.NewWriterSize(w, 32<<10)}
}

// array is JSON with one object on each line, so that it can be read line by
// line too.
type array struct {
	w     *bufio.Writer
	begun bool
}

func (a *array) row(values [][]byte) error {
	if a.begun {
		_, _ = a.w.WriteString(",\n")
	} else {
		_, _ = a.w.WriteString("[\n") // a bufio.Writer remembers its first error
	}
	a.begun = true
	_, err := a.w.Write(values[0])
	return err
}

func (a *array) end() error {
	if a.begun {
		_, _ = a.w.WriteString("\n]\n")
	} else {
		_, _ = a.w.WriteString("[]\n")
	}
	return a.w.Flush()
}

// table is CSV with a line of names.
type table struct {
	*sheet.Writer
	kind  kind
	begun bool
}

func (t *table) begin() error {
	if t.begun {
		return nil
	}
	t.begun = true
	names := make([]string, len(t.kind.columns))
	for i, c := range t.kind.columns {
		names[i] = c.name
	}
	return t.Row(names...)
}

func (t *table) row(values [][]byte) error {
	if err := t.begin(); err != nil {
		return err
	}
	return t.Raw(values)
}

func (t *table) end() error {
	if err := t.begin(); err != nil {
		return err
	}
	return t.Flush()
}
