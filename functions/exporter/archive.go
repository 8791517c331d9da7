package exporter

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
)

// formatVersion is raised when a reader of the files would have to change.
const formatVersion = 1

// manifest is the archive's first file: what it is and what it holds.
type manifest struct {
	FormatVersion  int       `json:"format_version"`
	OrganizationID ids.ID    `json:"organization_id"`
	JobID          ids.ID    `json:"job_id"`
	Format         string    `json:"format"`
	AsOf           time.Time `json:"as_of"`
	Files          []listed  `json:"files"`
}

type listed struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	Rows   int64     `json:"rows"`
	Bytes  int64     `json:"bytes"`
	CRC32  string    `json:"crc32"`
	ReadAt time.Time `json:"read_at"`
}

// archive joins the parts. They are compressed already, so that it is a copy
// from storage to storage; an attempt that dies here repeats no query.
func (x *exporting) archive(ctx context.Context) (job.File, error) {
	name := "export-" + x.state.AsOf.Format("2006-01-02") + ".zip"
	key := x.Key(fileFolder, strconv.Itoa(x.Attempt), name)
	object, err := x.objects.Create(ctx, key, "application/zip")
	if err != nil {
		return job.File{}, err
	}
	defer object.Abort()
	z := zip.NewWriter(object)
	if err := x.manifest(z); err != nil {
		return job.File{}, err
	}
	for i, k := range kinds {
		if err := x.join(ctx, z, k); err != nil {
			return job.File{}, err
		}
		if err := x.Progress(ctx, 90+9*i/len(kinds)); err != nil {
			return job.File{}, err
		}
	}
	if err := z.Close(); err != nil {
		return job.File{}, err
	}
	if err := object.Commit(); err != nil {
		return job.File{}, err
	}
	return job.File{ObjectKey: key, Filename: name, ContentType: "application/zip", Bytes: object.Size(), Rows: x.rows}, nil
}

func (x *exporting) manifest(z *zip.Writer) error {
	m := manifest{FormatVersion: formatVersion, OrganizationID: x.Tenant, JobID: x.ID, Format: x.Params.Format, AsOf: x.state.AsOf}
	for _, k := range kinds {
		p := x.state.Parts[k.name]
		m.Files = append(m.Files, listed{
			Name: k.name + "." + x.Params.Format, Kind: k.name, Rows: p.Rows, Bytes: p.Size, CRC32: fmt.Sprintf("%08x", p.CRC32), ReadAt: p.ReadAt,
		})
	}
	w, err := z.CreateHeader(&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate, Modified: x.state.AsOf})
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(m)
}

// join copies a part. One that is not what its row says is forgotten, so that
// the next attempt makes it again.
func (x *exporting) join(ctx context.Context, z *zip.Writer, k kind) error {
	p := x.state.Parts[k.name]
	r, err := x.objects.Read(ctx, p.ObjectKey)
	if err == nil && r.Size != p.Compressed {
		_ = r.Close()
		err = errs.ErrNotFound
	}
	if errors.Is(err, errs.ErrNotFound) {
		delete(x.state.Parts, k.name)
		if err := x.Save(ctx, x.state, 0); err != nil {
			return err
		}
		return fmt.Errorf("exporter: part %s is gone from storage", k.name)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	const sizesFollow, utf8Names = 0x8, 0x800 // APPNOTE 4.4.4: for files beyond 4 GB the directory alone has room
	w, err := z.CreateRaw(&zip.FileHeader{
		Name: k.name + "." + x.Params.Format, Method: zip.Deflate, Flags: sizesFollow | utf8Names, Modified: p.ReadAt,
		CRC32: p.CRC32, CompressedSize64: uint64(p.Compressed), UncompressedSize64: uint64(p.Size),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
