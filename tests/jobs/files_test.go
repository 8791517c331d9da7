package jobs_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/mailbox"
)

// What the statements of a job say, besides.
const (
	begins   = `set attempts = attempts + 1, crashes`
	saves    = `set state = `
	finishes = `status = 'succeeded'`
)

// Reports begin again: one file, whole, however often.
var reportPoints = []point{
	{name: "reporter, before the job begins", victim: "reporter", link: "reporter sql", when: before, sees: []string{begins}},
	{name: "reporter, after the job began", victim: "reporter", link: "reporter sql", when: after, sees: []string{begins, "commit"}},
	{name: "reporter, between two pages of tasks", victim: "reporter", link: "reporter sql", when: after, sees: []string{"fetch 1000 from tasks"}, nth: 2},
	{name: "reporter, after the file, before the job is finished", victim: "reporter", link: "reporter sql", when: before, sees: []string{finishes, "commit"}},
	{name: "reporter, after the job was finished", victim: "reporter", link: "reporter sql", when: after, sees: []string{finishes, "commit"}},
	{name: "reporter, after its answer, before the queue has it", victim: "reporter", link: "reporter", when: after, sees: []string{"POST /"}},
}

// Exports go on from the part that was whole last.
var exportPoints = []point{
	{name: "exporter, after the job began", victim: "exporter", link: "exporter sql", when: after, sees: []string{begins, "commit"}},
	{name: "exporter, after the moment was fixed", victim: "exporter", link: "exporter sql", when: after, sees: []string{saves, "commit"}},
	{name: "exporter, while it reads a part", victim: "exporter", link: "exporter sql", when: after, sees: []string{"from app.tasks", "fetch 1000 from exported"}, nth: 2},
	{name: "exporter, after a part, before it is noted", victim: "exporter", link: "exporter sql", when: before, sees: []string{saves, "commit"}, nth: 4},
	{name: "exporter, after a part was noted", victim: "exporter", link: "exporter sql", when: after, sees: []string{saves, "commit"}, nth: 7},
	{name: "exporter, after the archive, before the job is finished", victim: "exporter", link: "exporter sql", when: before, sees: []string{finishes, "commit"}},
	{name: "exporter, after the job was finished", victim: "exporter", link: "exporter sql", when: after, sees: []string{finishes, "commit"}},
	{name: "exporter, after its answer, before the queue has it", victim: "exporter", link: "exporter", when: after, sees: []string{"POST /"}},
}

// archived is how many tasks there are: more than two pages of a cursor.
const archived = 2500

// filed is the platform with objects, and a project full of tasks.
func filed(t *testing.T, p point) (s *stage, objects map[string]string, project ids.ID) {
	t.Helper()
	s = newStage(t, p)
	objects = map[string]string{
		"OBJECTS_URL": "file://" + t.TempDir(), "OBJECTS_PUBLIC_URL": "http://127.0.0.1:1/objects/", "OBJECTS_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
	}
	project = s.project()
	s.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by) select $1, gen_random_uuid(), $2, 'Task ' || n, $3 from generate_series(1, $4) n`,
		s.owner.TenantID, project, s.owner.UserID, archived)
	return s, objects, project
}

// ask leaves a job as the function jobs does.
func (s *stage) ask(kind string, params map[string]any, m func(queue.Job) queue.Envelope) ids.ID {
	s.t.Helper()
	raw, err := json.Marshal(params)
	if err != nil {
		s.t.Fatal(err)
	}
	id := ids.New()
	s.SQL(s.t, `insert into app.jobs (tenant_id, id, kind, params, created_by) values ($1, $2, $3, $4::jsonb, $5)`, s.owner.TenantID, id, kind, string(raw), s.owner.UserID)
	m(queue.Job{JobID: id})
	return id
}

// file reads what a job made, and wants it to have succeeded.
func (s *stage) file(objects map[string]string, id ids.ID) []byte {
	s.t.Helper()
	var status, at string
	var progress int
	s.Scan(s.t, `select status, progress, coalesce(result->>'object_key', '') from app.jobs where id = $1`, []any{id}, &status, &progress, &at)
	if status != "succeeded" || progress != 100 {
		s.t.Fatalf("the job is %s, %d %%", status, progress)
	}
	vars := maps.Clone(s.Vars)
	maps.Copy(vars, objects)
	cfg, err := config.Load[blob.Config](config.Map(vars))
	if err != nil {
		s.t.Fatal(err)
	}
	store, err := blob.Open(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	r, err := store.Read(s.t.Context(), at)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// whole wants each task to be there once.
func whole(t *testing.T, titles []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, title := range titles {
		seen[title] = true
	}
	if len(titles) != archived || len(seen) != archived {
		t.Errorf("%d tasks, %d different ones, want %d", len(titles), len(seen), archived)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for _, p := range reportPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, objects, project := filed(t, p)
			s.add("reporter", "reporter", objects)
			s.addQueues("relay")
			id := s.ask("report", map[string]any{"format": "csv", "project_id": project}, func(j queue.Job) queue.Envelope { return s.leave(queue.ReportProject.Message("", j)) })
			s.begin()
			took := s.wait()
			r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(s.file(objects, id), []byte("\ufeff"))))
			lines, err := r.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			var titles []string
			for _, line := range lines {
				if strings.HasPrefix(line[1], "Task ") {
					titles = append(titles, line[1])
				}
			}
			whole(t, titles)
			t.Logf("resumed and done after %s", took)
		})
	}
}

// An export that is killed has everything once, and so has the mail about it.
func TestExport(t *testing.T) {
	t.Parallel()
	for _, p := range exportPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, objects, _ := filed(t, p)
			box, err := mailbox.Open("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = box.Close() })
			s.add("exporter", "exporter", objects)
			s.add("mailer", "mailer", mailing(box.URL()))
			s.addQueues("relay")
			id := s.ask("export", map[string]any{"format": "json"}, func(j queue.Job) queue.Envelope { return s.leave(queue.ExportTenant.Message("", j)) })
			s.begin()
			took := s.wait()
			raw := s.file(objects, id)
			z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			f, err := z.Open("tasks.json")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var tasks []struct{ Title string }
			if err := json.NewDecoder(f).Decode(&tasks); err != nil {
				t.Fatal(err)
			}
			titles := make([]string, len(tasks))
			for i, x := range tasks {
				titles[i] = x.Title
			}
			whole(t, titles)
			if mails, _ := distinct(box, s.owner.Email); mails != 1 {
				t.Errorf("%d mails about it", mails)
			}
			t.Logf("resumed and done after %s", took)
		})
	}
}
