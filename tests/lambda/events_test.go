package lambda_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/lambdaruntime"
)

// works is a job function and a schedule on Lambda, with what invokes them.
type works struct {
	*functest.Env
	owner    functest.Person
	project  ids.ID
	reports  *lambdaruntime.Queue
	reporter *lambdaruntime.Runtime
	summary  *lambdaruntime.Runtime
}

func openWorks(t *testing.T, name string) *works {
	t.Helper()
	programs := background.get(t, func(name, _ string) bool { return name == "reporter" || name == "dailysummary" })
	w := &works{Env: functest.New(t), project: ids.New(), reporter: lambdaruntime.New(limit), summary: lambdaruntime.New(limit)}
	vars := maps.Clone(w.Vars)
	vars["BASE_DOMAIN"], vars["LOG_LEVEL"], vars["DATABASE_MAX_CONNS"] = "localhost", "error", "2"
	// Nobody pushes there: no issuer, no accounts.
	maps.DeleteFunc(vars, func(name, _ string) bool { return strings.HasPrefix(name, "PUSH_") })
	start(t, programs["reporter"], vars, w.reporter, 2)
	start(t, programs["dailysummary"], vars, w.summary, 1)
	w.reports = &lambdaruntime.Queue{Runtime: w.reporter, Name: name}
	w.owner = w.Tenant(t)
	w.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Apollo', $3, $3)`, w.owner.TenantID, w.project, w.owner.UserID)
	return w
}

// begin asks for a report of a project: the job and its message, as the jobs
// function leaves them.
func (w *works) begin(t *testing.T, project ids.ID) (job ids.ID, m queue.Envelope) {
	t.Helper()
	job = ids.New()
	w.SQL(t, `insert into app.jobs (tenant_id, id, kind, params, created_by) values ($1, $2, 'report', json_build_object('format', 'csv', 'project_id', $3::uuid), $4)`,
		w.owner.TenantID, job, project, w.owner.UserID)
	return job, w.Enqueue(t, w.owner.TenantID, ids.Nil, queue.ReportProject.Message("", queue.Job{JobID: job}))
}

func text(t *testing.T, m queue.Envelope) string {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// state is a job's, and how often its message was recorded, failed, and given
// up.
func (w *works) state(t *testing.T, job ids.ID, m queue.Envelope) (status string, recorded, attempts, dead int) {
	t.Helper()
	w.Scan(t, `select j.status, (select count(*) from app.processed_messages p where p.message_id = o.id), o.attempts, (o.dead_at is not null)::int
		from app.jobs j, app.outbox o where j.id = $1 and o.id = $2`, []any{job, m.ID}, &status, &recorded, &attempts, &dead)
	return status, recorded, attempts, dead
}

// TestBatchesOfJobs holds that a batch does its work once, keeps what failed,
// and drops what can never be read.
func TestBatchesOfJobs(t *testing.T) {
	for _, name := range []string{"reports", "reports.fifo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openWorks(t, name)
			first, one := w.begin(t, w.project)
			second, two := w.begin(t, w.project)
			unknown := one
			unknown.ID, unknown.Kind = ids.New(), "report.of_tomorrow"
			w.SQL(t, `insert into app.outbox (tenant_id, id, kind, payload) values ($1, $2, $3, '{}')`, w.owner.TenantID, unknown.ID, unknown.Kind)
			w.reports.Send(text(t, one), "a")
			w.reports.Send(text(t, one), "b") // the same message, at the same time
			w.reports.Send("poison", "c")
			w.reports.Send(`{"version":99}`, "d")
			failing := w.reports.Send(text(t, unknown), "e")
			w.reports.Send(text(t, two), "f")
			failed, err := w.reports.Deliver(t.Context())
			if err != nil || !slices.Equal(failed, []string{failing}) || w.reports.Len() != 1 {
				t.Fatalf("failed %v, not %s alone; %d left, %v", failed, failing, w.reports.Len(), err)
			}
			for job, m := range map[ids.ID]queue.Envelope{first: one, second: two} {
				if status, recorded, attempts, dead := w.state(t, job, m); status != "succeeded" || recorded != 1 || attempts != 0 || dead != 0 {
					t.Errorf("%s, recorded %d, %d attempts, dead %d", status, recorded, attempts, dead)
				}
			}
			// Once more, after the end.
			w.reports.Send(text(t, one), "a")
			if failed, err := w.reports.Deliver(t.Context()); err != nil || !slices.Equal(failed, []string{failing}) {
				t.Errorf("failed %v %v", failed, err)
			}
			if _, recorded, _, _ := w.state(t, first, one); recorded != 1 {
				t.Errorf("recorded %d times", recorded)
			}
			// The function gives it up before the queue does, and takes it then.
			for range 2 {
				if _, err := w.reports.Deliver(t.Context()); err != nil {
					t.Error(err)
				}
			}
			var attempts, dead int
			w.Scan(t, `select attempts, (dead_at is not null)::int from app.outbox where id = $1`, []any{unknown.ID}, &attempts, &dead)
			if attempts != 4 || dead != 1 || w.reports.Len() != 0 {
				t.Errorf("%d attempts, dead %d, %d left", attempts, dead, w.reports.Len())
			}
		})
	}
}

// TestSchedules holds that the clock of EventBridge runs a schedule, once for
// each of its times, and that its failure is told.
func TestSchedules(t *testing.T) {
	t.Parallel()
	w := openWorks(t, "reports")
	w.SQL(t, `update app.profiles set timezone = 'UTC', next_digest_at = now() - interval '1 hour' where user_id = $1`, w.owner.UserID)
	slot := time.Now().UTC().Truncate(15 * time.Minute)
	for range 2 {
		if err := lambdaruntime.Tick(t.Context(), w.summary, slot); err != nil {
			t.Fatal(err)
		}
	}
	var finished time.Time
	w.Scan(t, `select finished_slot from app.schedules where name = 'dailysummary'`, nil, &finished)
	if n := len(w.Pending(t, queue.MailDigest.Kind)); n != 1 || !finished.Equal(slot) {
		t.Errorf("%d messages, finished %s and not %s", n, finished, slot)
	}
	var fault *lambdaruntime.FunctionError
	if err := lambdaruntime.Tick(t.Context(), w.summary, time.Now().Add(24*time.Hour)); !errors.As(err, &fault) {
		t.Errorf("a time to come: %v", err)
	}
	// One that is meant for another function is not done because it was taken.
	if err := lambdaruntime.Tick(t.Context(), w.reporter, slot); !errors.As(err, &fault) {
		t.Errorf("a tick for a job function: %v", err)
	}
	q := &lambdaruntime.Queue{Runtime: w.summary, Name: "misled"}
	id := q.Send("{}", "")
	if failed, err := q.Deliver(t.Context()); err != nil || !slices.Equal(failed, []string{id}) {
		t.Errorf("a message for a schedule: %v %v", failed, err)
	}
	if _, err := w.reporter.Invoke(t.Context(), []byte(`{"Records":[{"eventSource":"aws:s3","s3":{}}]}`)); !errors.As(err, &fault) {
		t.Errorf("an event of S3: %v", err)
	}
}

// TestForgeries holds that a request from outside, should a gateway ever stand
// before a job function or a schedule, is nobody's.
func TestForgeries(t *testing.T) {
	t.Parallel()
	w := openWorks(t, "reports")
	job, m := w.begin(t, w.project)
	slot := time.Now().UTC().Truncate(15 * time.Minute)
	for _, g := range []lambdaruntime.Gateway{{Kind: lambdaruntime.HTTPAPI}, {Kind: lambdaruntime.FunctionURL}} {
		for runtime, bodies := range map[*lambdaruntime.Runtime][]string{
			w.reporter: {text(t, m), `{"Records":[{"messageId":"1","eventSource":"aws:sqs","body":"{}"}]}`, `{"subscription":"s","message":{"data":"e30="}}`},
			w.summary:  {"{}", `{"detail-type":"Scheduled Event","source":"aws.events","time":"` + slot.Format(time.RFC3339) + `"}`},
		} {
			g.Runtime = runtime
			for _, body := range bodies {
				for _, header := range []http.Header{
					{},
					{"X-Cloudtasks-Taskname": {"t"}, "X-Cloudtasks-Taskretrycount": {"1"}, "X-Cloudscheduler": {"true"}, "X-Cloudscheduler-Scheduletime": {slot.Format(time.RFC3339)}},
					{"Authorization": {"Bearer x.y.z"}, "X-Amz-Invocation-Type": {"Event"}, "Records": {"[]"}, "Detail-Type": {"Scheduled Event"}, "Eventsource": {"aws:sqs"}},
				} {
					r := httptest.NewRequest(http.MethodPost, "/?Records=1&detail-type=x", strings.NewReader(body))
					r.Header = header.Clone()
					r.Header.Set("Content-Type", "application/json")
					answer := httptest.NewRecorder()
					g.ServeHTTP(answer, r)
					if answer.Code != http.StatusUnauthorized {
						t.Errorf("%s with %v: %d %s", body, header, answer.Code, answer.Body)
					}
				}
			}
		}
	}
	if status, recorded, attempts, _ := w.state(t, job, m); status != "queued" || recorded != 0 || attempts != 0 {
		t.Errorf("%s, recorded %d, %d attempts", status, recorded, attempts)
	}
	var runs int
	w.Scan(t, `select count(*) from app.schedules where finished_slot is not null`, nil, &runs)
	if runs != 0 {
		t.Errorf("%d schedules ran", runs)
	}
}
