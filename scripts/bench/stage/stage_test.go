package stage

import (
	"testing"

	"github.com/coditect/platform/shared/ids"
)

func TestIDsAreApart(t *testing.T) {
	t.Parallel()
	seen := map[ids.ID]bool{}
	add := func(id ids.ID) {
		if seen[id] {
			t.Fatalf("%s names two things", id)
		}
		seen[id] = true
		if id.Version() != 7 {
			t.Fatalf("%s is of version %d", id, id.Version())
		}
	}
	for tenant := range Quick.Tenants {
		add(Tenant(tenant))
		for m := range members {
			add(User(tenant, m))
		}
		for p := range Quick.Projects {
			add(Project(tenant, p))
			for k := range Quick.Tasks {
				add(Task(tenant, p, k))
			}
		}
	}
	for p := range Full.Projects {
		if last := created(p, Full.Tasks); !last.Before(after) {
			t.Errorf("project %d reaches to %s, where a run's own tasks begin", p, last)
		}
	}
}

// Keys are of things that are loaded, and of all tenants and many projects.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, size := range []Size{Full, Quick} {
		tenants, projects, tasks := map[int]bool{}, map[int]bool{}, map[Key]bool{}
		for _, k := range size.Keys(1024) {
			if k.Tenant >= size.Tenants || k.Project >= size.Projects || k.Task >= size.Tasks {
				t.Fatalf("%s: %+v is not loaded", size, k)
			}
			tenants[k.Tenant], projects[k.Project], tasks[k] = true, true, true
		}
		if len(tenants) != size.Tenants || len(projects) != size.Projects || len(tasks) < 100 {
			t.Errorf("%s: %d tenants, %d projects, %d tasks", size, len(tenants), len(projects), len(tasks))
		}
	}
}
