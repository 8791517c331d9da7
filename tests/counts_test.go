package tests

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// drift is how many projects show other counts than their tasks give.
const drift = `
	select count(*) from app.projects p
	 cross join lateral (select count(*) filter (where t.status = 'todo') as todo, count(*) filter (where t.status = 'in_progress') as in_progress,
	                            count(*) filter (where t.status = 'done') as done
	                       from app.tasks t where t.tenant_id = p.tenant_id and t.project_id = p.id and t.deleted_at is null) t
	 cross join lateral (select coalesce(sum(c.todo), 0) as todo, coalesce(sum(c.in_progress), 0) as in_progress, coalesce(sum(c.done), 0) as done
	                       from app.project_task_counts c where c.tenant_id = p.tenant_id and c.project_id = p.id) c
	 where (t.todo, t.in_progress, t.done) <> (c.todo, c.in_progress, c.done)`

// TestCountsHold lets several people at once create, change, delete and restore
// tasks and the projects that hold them, in random order, while everything is
// counted anew now and then. Whatever came of each request, the kept counts are
// those that counting gives.
func TestCountsHold(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	owner := p.Tenant(t)
	p.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, owner.TenantID) // 720 requests come within a minute
	var projects []string
	for range 3 {
		made := p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/projects/", Token: owner.Token, Body: map[string]any{"name": "Apollo"}})
		projects = append(projects, made.Want(t, http.StatusCreated).String(t, "id"))
	}
	known := &pool{}
	done := make(chan struct{})
	var people, counting sync.WaitGroup
	answered := make(chan struct{}, 6*120)
	counting.Go(func() {
		for {
			p.SQL(t, `call app.recount_tasks()`)
			for range 4 { // it locks everyone out; they must get on in between
				select {
				case <-done:
					return
				case <-answered:
				}
			}
		}
	})
	outcomes := make([]map[string]int, 6)
	for i := range outcomes {
		outcomes[i] = map[string]int{}
		random := rand.New(rand.NewPCG(uint64(i), 1))
		people.Go(func() {
			for range 120 {
				in := known.next(random, projects)
				in.Token = owner.Token
				r := p.Send(t, in)
				answered <- struct{}{}
				if r.Status >= http.StatusInternalServerError || r.Status == http.StatusTooManyRequests {
					t.Errorf("%s %s: %d %s", in.Method, in.Path, r.Status, r.Body)
				}
				if r.Status == http.StatusCreated {
					known.add(r.String(t, "id"))
				}
				outcomes[i][fmt.Sprintf("%s %d", in.Method, r.Status)]++
			}
		})
	}
	people.Wait()
	close(done)
	counting.Wait()

	// Chance may leave every project deleted and counted so: nothing to compare.
	for _, id := range projects {
		r := p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/projects/" + id + "/restore/", Token: owner.Token})
		if r.Status != http.StatusOK && r.Status != http.StatusConflict {
			t.Fatalf("restore: %d %s", r.Status, r.Body)
		}
	}

	total := map[string]int{}
	for _, o := range outcomes {
		for k, n := range o {
			total[k] += n
		}
	}
	for _, k := range []string{"POST 201", "POST 200", "PATCH 200", "DELETE 204"} {
		if total[k] < 5 {
			t.Errorf("only %d of %s: %v", total[k], k, total)
		}
	}
	var wrong, tasks, rows int
	p.Scan(t, drift, nil, &wrong)
	p.Scan(t, `select count(*) from app.tasks where deleted_at is null`, nil, &tasks)
	p.Scan(t, `select count(*) from app.project_task_counts`, nil, &rows)
	if wrong > 0 || tasks == 0 || rows == 0 {
		t.Errorf("%d projects show wrong counts, of %d tasks in %d rows", wrong, tasks, rows)
	}
	// And the answers say so.
	for _, id := range projects {
		var todo float64
		p.Scan(t, `select count(*) from app.tasks where project_id = $1 and status = 'todo' and deleted_at is null`, []any{id}, &todo)
		r := p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/" + id + "/", Token: owner.Token})
		if r.Status == http.StatusOK && r.Get(t, "task_counts.todo") != todo {
			t.Errorf("%s, but %v are to be done", r.Body, todo)
		}
	}
}

// TestRecountFindsWhatWasNotCounted is the way back after tasks were written
// past the functions.
func TestRecountFindsWhatWasNotCounted(t *testing.T) {
	t.Parallel()
	s := stage(t, &platform.Platform{Env: functest.New(t)})
	var wrong int
	s.SQL(t, `insert into app.project_task_counts values ($1, $2, 7, 5, 5, -5)`, s.owner.TenantID, s.deletedProject)
	if s.Scan(t, drift, nil, &wrong); wrong != 2 {
		t.Fatalf("%d projects show wrong counts, want 2: the test sees nothing", wrong)
	}
	s.SQL(t, `call app.recount_tasks()`)
	if s.Scan(t, drift, nil, &wrong); wrong != 0 {
		t.Errorf("%d projects show wrong counts", wrong)
	}
}

// pool is the tasks that there are.
type pool struct {
	mu    sync.Mutex
	tasks []string
}

func (k *pool) add(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tasks = append(k.tasks, id)
}

// next makes a request at random. The requests need not succeed: tasks of a
// deleted project, or deleted twice, are refused.
func (k *pool) next(random *rand.Rand, projects []string) functest.Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	project := "/api/v1/projects/" + projects[random.IntN(len(projects))] + "/"
	task := "/api/v1/tasks/" + ids.New().String() + "/"
	if len(k.tasks) > 0 {
		task = "/api/v1/tasks/" + k.tasks[random.IntN(len(k.tasks))] + "/"
	}
	status := []string{"todo", "in_progress", "done"}[random.IntN(3)]
	merge := map[string]string{"Content-Type": "application/merge-patch+json"}
	switch n := random.IntN(100); {
	case n < 30:
		return functest.Request{Method: http.MethodPost, Path: project + "tasks/", Body: map[string]any{"title": "x", "status": status}}
	case n < 60:
		return functest.Request{Method: http.MethodPatch, Path: task, Body: map[string]any{"status": status}, Header: merge}
	case n < 75:
		return functest.Request{Method: http.MethodDelete, Path: task}
	case n < 88:
		return functest.Request{Method: http.MethodPost, Path: task + "restore/"}
	case n < 92:
		return functest.Request{Method: http.MethodDelete, Path: project}
	default:
		return functest.Request{Method: http.MethodPost, Path: project + "restore/"}
	}
}
