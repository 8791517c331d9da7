package jobs_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/queue"
)

// lines gives what a process logged, line by line, that has the message.
func (s *stage) lines(process, message string) []map[string]any {
	s.t.Helper()
	var out []map[string]any
	for text := range strings.Lines(s.processes[process].output.text()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["message"] == message {
			out = append(out, line)
		}
	}
	return out
}

// TestTrace holds that the trace of a request is that of the line which the
// consumer of its message logs: by the row of the outbox, the relay and Cloud
// Tasks, each a process of its own.
func TestTrace(t *testing.T) {
	t.Parallel()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	s := newStage(t, point{})
	s.add("mailer", "counter", nil)
	s.add("tasks", "tasks", nil)
	s.addQueues("relay")
	project, who := s.project(), s.Member(t, s.owner.TenantID, "member").UserID
	s.begin()
	body, err := json.Marshal(map[string]any{"title": "Task", "assignee_id": who})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.fronts["tasks"].url+"/api/v1/projects/"+project.String()+"/tasks/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.owner.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	s.wait()
	messages := s.all(queue.MailTaskAssigned.Kind)
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	var logged []map[string]any
	if err := until(func() bool { logged = s.lines("mailer", "message"); return len(logged) > 0 }); err != nil {
		t.Fatal("the consumer logged nothing")
	}
	for name, want := range map[string]string{
		"logging.googleapis.com/trace": "projects/" + s.Vars["GOOGLE_CLOUD_PROJECT"] + "/traces/" + trace,
		"message_id":                   messages[0].ID.String(), "tenant_id": s.owner.TenantID.String(), "kind": queue.MailTaskAssigned.Kind, "result": "done",
	} {
		if logged[0][name] != want {
			t.Errorf("%s is logged as %v, want %s", name, logged[0][name], want)
		}
	}
}
