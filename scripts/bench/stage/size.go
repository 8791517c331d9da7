// Package stage sets the benchmark's scene: the rows of many organizations in a
// database that is kept between runs, and the people who make the requests.
package stage

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// Size is how much is loaded: tenants × projects × tasks.
type Size struct{ Tenants, Projects, Tasks int }

// The sizes that the benchmark is run with.
var (
	Full  = Size{Tenants: 200, Projects: 20, Tasks: 250}
	Quick = Size{Tenants: 4, Projects: 3, Tasks: 60}
)

func (s Size) String() string { return fmt.Sprintf("%dx%dx%d", s.Tenants, s.Projects, s.Tasks) }

// Total is the number of tasks.
func (s Size) Total() int { return s.Tenants * s.Projects * s.Tasks }

// members is how many people each tenant has; the first owns it.
const members = 5

// Loaded rows are of a year that is over, whatever the day: what a run adds is
// newer, and is deleted by the next.
var (
	epoch = time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)
	after = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Kinds of loaded rows, for their ids.
const (
	aTenant  = 't'
	aUser    = 'u'
	aProject = 'p'
	aTask    = 'k'
)

// id is a UUIDv7 that follows from what it names, so that nobody has to ask the
// database what was loaded.
func id(at time.Time, kind byte, numbers ...int) ids.ID {
	in := []byte{kind}
	for _, n := range numbers {
		in = binary.BigEndian.AppendUint32(in, uint32(n))
	}
	sum := sha256.Sum256(in)
	var out ids.ID
	copy(out[6:], sum[:10])
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		out[i] = byte(ms >> (8 * (5 - i)))
	}
	out[6] = out[6]&0x0f | 0x70
	out[8] = out[8]&0x3f | 0x80
	return out
}

// Tenant is the id of a loaded organization.
func Tenant(tenant int) ids.ID { return id(epoch, aTenant, tenant) }

// User is the id of a tenant's member; 0 is the owner.
func User(tenant, member int) ids.ID { return id(epoch, aUser, tenant, member) }

// Project is the id of a tenant's project.
func Project(tenant, project int) ids.ID { return id(epoch, aProject, tenant, project) }

// Task is the id of a project's task.
func Task(tenant, project, task int) ids.ID {
	return id(created(project, task), aTask, tenant, project, task)
}

// created spreads a tenant's tasks over most of a year, the projects by turns.
func created(project, task int) time.Time {
	return epoch.Add(time.Duration(task)*24*time.Hour + time.Duration(project)*time.Hour)
}

// Email is a member's address.
func Email(tenant, member int) string {
	return fmt.Sprintf("bench-%d-%d@example.com", tenant, member)
}

// Password is everybody's.
const Password = "a-bench-of-oak-42"
