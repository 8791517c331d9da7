package exporter

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/job"
)

// state is what the job's row keeps between attempts.
type state struct {
	// AsOf decides which things belong to the export: those that were there
	// then. The first attempt fixes it.
	AsOf time.Time `json:"as_of"`
	// Expected is about how many rows there are, for the progress.
	Expected int64 `json:"expected"`
	// Parts are whole, and will not be made again.
	Parts map[string]part `json:"parts"`
}

// part is the object that holds one kind, compressed as the archive will have
// it (RFC 1951).
type part struct {
	ObjectKey  string    `json:"object_key"`
	Rows       int64     `json:"rows"`
	Size       int64     `json:"size"`       // bytes of the file
	Compressed int64     `json:"compressed"` // bytes of the object
	CRC32      uint32    `json:"crc32"`
	ReadAt     time.Time `json:"read_at"` // the moment that the file shows
}

// What is where under the job's prefix.
const (
	partsFolder = "parts"
	fileFolder  = "file"
)

// exporting is one attempt at an export.
type exporting struct {
	*service
	*job.Run
	state state
	rows  int64 // of the parts that are whole
}

// make does what earlier attempts have not done and gives the archive.
func (s *service) make(ctx context.Context, run *job.Run) (job.File, error) {
	x := &exporting{service: s, Run: run}
	if err := json.Unmarshal(run.State, &x.state); err != nil {
		return job.File{}, fmt.Errorf("exporter: state: %w", err)
	}
	if x.state.AsOf.IsZero() {
		x.state = state{AsOf: run.Now, Parts: map[string]part{}}
		x.state.Expected = x.expected(ctx)
		if err := run.Save(ctx, x.state, 0); err != nil {
			return job.File{}, err
		}
	}
	for _, p := range x.state.Parts {
		x.rows += p.Rows
	}
	for _, k := range kinds {
		if _, whole := x.state.Parts[k.name]; whole {
			continue
		}
		if err := s.reached("before " + k.name); err != nil {
			return job.File{}, err
		}
		p, err := x.part(ctx, k)
		if err != nil {
			return job.File{}, fmt.Errorf("exporter: %s: %w", k.name, err)
		}
		if err := s.reached("after " + k.name); err != nil {
			return job.File{}, err
		}
		x.state.Parts[k.name] = p
		x.rows += p.Rows
		if err := run.Save(ctx, x.state, x.percent(0)); err != nil {
			return job.File{}, err
		}
	}
	if err := s.reached("before archive"); err != nil {
		return job.File{}, err
	}
	file, err := x.archive(ctx)
	if err != nil {
		return job.File{}, err
	}
	return file, s.reached("after archive")
}

func (x *exporting) principal() identity.Principal { return identity.Principal{TenantID: x.Tenant} }

// expected counts what is many. It is for the progress alone: a count that
// takes too long is done without.
func (x *exporting) expected(ctx context.Context) int64 {
	var counts []*db.Row[int64]
	err := db.Read(ctx, x.db, x.principal(), func(tx *db.Tx) error {
		counts = countRows(tx)
		return nil
	})
	if err != nil {
		return 0
	}
	total := int64(0)
	for _, c := range counts {
		n, _ := c.Value()
		total += n
	}
	return total
}

// percent is the progress when more rows of a part are written: by rows where
// they were counted, else by parts. The archive is the last tenth.
func (x *exporting) percent(more int64) int {
	if x.state.Expected > 0 {
		return int(min(90, 90*(x.rows+more)/x.state.Expected))
	}
	return 90 * len(x.state.Parts) / len(kinds)
}
