//go:build citus

package citus

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/tests/platform"
)

// BenchmarkOperations times operations on Citus and on plain PostgreSQL in
// turns, router and functions included, and reports the medians and their
// ratio: of figures taken on a shared machine only the ratio says something.
func BenchmarkOperations(b *testing.B) {
	cluster := prepared(b)
	b.Setenv("CITUS_URL", "")
	plain := prepared(b)
	for _, op := range []struct {
		name         string
		method, path string
		body         any
	}{
		{"me", http.MethodGet, "/api/v1/users/me/", nil},
		{"list-projects", http.MethodGet, "/api/v1/projects/", nil},
		{"get-project", http.MethodGet, "{project}", nil},
		{"update-project", http.MethodPatch, "{project}", map[string]any{"description": "x"}},
		{"list-tasks", http.MethodGet, "/api/v1/tasks/", nil},
		{"search-tasks", http.MethodGet, "/api/v1/tasks/?search=land", nil},
		{"get-task", http.MethodGet, "{task}", nil},
		{"create-task", http.MethodPost, "{project}tasks/", map[string]any{"title": "Land"}},
		{"update-task", http.MethodPatch, "{task}", map[string]any{"status": "done"}},
		{"list-activity", http.MethodGet, "/api/v1/activity/", nil},
		{"create-project", http.MethodPost, "/api/v1/projects/", map[string]any{"name": "Apollo"}},
	} {
		b.Run(op.name, func(b *testing.B) {
			var times [2][]time.Duration
			for b.Loop() {
				for i, s := range []*site{plain, cluster} {
					path := op.path
					switch {
					case len(path) > 9 && path[:9] == "{project}":
						path = s.project + path[9:]
					case path == "{project}":
						path = s.project
					case path == "{task}":
						path = s.task
					}
					start := time.Now()
					r := s.send(b, op.method, path, op.body)
					times[i] = append(times[i], time.Since(start))
					if r.Status/100 != 2 {
						b.Fatalf("%s: %d %s", op.name, r.Status, r.Body)
					}
				}
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return d[len(d)/2].Seconds() * 1e3
			}
			p, c := median(times[0]), median(times[1])
			b.ReportMetric(p, "plain-ms")
			b.ReportMetric(c, "citus-ms")
			b.ReportMetric(c/p, "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type site struct {
	*platform.Platform
	owner         functest.Person
	project, task string
}

func prepared(b *testing.B) *site {
	e := functest.New(b)
	s := &site{Platform: platform.Mount(b, e, nil), owner: e.Tenant(b)}
	e.SQL(b, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, s.owner.TenantID)
	s.project = s.send(b, http.MethodPost, "/api/v1/projects/", map[string]any{"name": "Apollo"}).Want(b, http.StatusCreated).Header.Get("Location")
	for range 60 {
		s.task = s.send(b, http.MethodPost, s.project+"tasks/", map[string]any{"title": "Land"}).Want(b, http.StatusCreated).Header.Get("Location")
	}
	return s
}

func (s *site) send(b *testing.B, method, path string, body any) functest.Response {
	b.Helper()
	return s.Send(b, functest.Request{Method: method, Path: path, Token: s.owner.Token, Body: body})
}
