package jobs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// What the statements of a moment say.
const (
	takes  = `set running_until = now()`
	effect = `insert into app.processed_messages`
	fails  = `set attempts = attempts`
)

// Messages of the outbox, from the commit to the record of the effect.
var outboxPoints = []point{
	{name: "relay, before it looks", victim: "relay", link: "relay sql", when: before, sees: []string{"select tenant_id from app.outbox"}, nth: 2},
	{name: "relay, before the claim", victim: "relay", link: "relay sql", when: before, sees: []string{"with kinds as"}},
	{name: "relay, after the claim", victim: "relay", link: "relay sql", when: after, sees: []string{"with kinds as"}},
	{name: "relay, before a task is created", victim: "relay", link: "queues", when: before, sees: []string{"CreateTask"}},
	{name: "relay, after a task was created", victim: "relay", link: "queues", when: after, sees: []string{"CreateTask"}},
	{name: "relay, between the tasks of a batch", victim: "relay", link: "queues", when: after, sees: []string{"CreateTask"}, nth: 2},
	{name: "relay, before it answers its schedule", victim: "relay", link: "relay", when: after, sees: []string{"POST /"}, nth: 2},
	{name: "consumer, when a message arrives", victim: "mailer", link: "mailer", when: before, sees: []string{"POST /"}},
	{name: "consumer, before it takes a message", victim: "mailer", link: "mailer sql", when: before, sees: []string{takes}},
	{name: "consumer, after it took a message", victim: "mailer", link: "mailer sql", when: after, sees: []string{takes}},
	{name: "consumer, before the effect commits", victim: "mailer", link: "mailer sql", when: before, sees: []string{effect, "commit"}},
	{name: "consumer, after the effect committed", victim: "mailer", link: "mailer sql", when: after, sees: []string{effect, "commit"}},
	{name: "consumer, after its answer, before the queue has it", victim: "mailer", link: "mailer", when: after, sees: []string{"POST /"}},
	{name: "queues, after a task was created", victim: "queues", link: "queues", when: after, sees: []string{"CreateTask"}, nth: 2, goesOn: true},
	{name: "queues, while a consumer is at work", victim: "queues", link: "mailer", when: before, sees: []string{"POST /"}, goesOn: true},
	{name: "relay, after the claim, leases of production", victim: "relay", link: "relay sql", when: after, sees: []string{"with kinds as"}, production: true},
	{name: "consumer, during its work, leases of production", victim: "mailer", link: "mailer sql", when: before, sees: []string{effect, "commit"}, production: true},
}

// TestOutbox kills whoever handles messages, in every moment of their way.
func TestOutbox(t *testing.T) {
	t.Parallel()
	for _, p := range outboxPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, p)
			s.add("mailer", "counter", nil)
			s.addQueues("relay")
			messages := s.enqueue(3)
			s.begin()
			took := s.wait()
			s.effects("Counted", 1, messages...)
			s.repeat("mailer", messages...)
			s.effects("Counted", 1, messages...)
			t.Logf("resumed and done after %s", took)
		})
	}
}

// What may run beside itself is delivered again at once.
var sharedPoints = []point{
	{name: "consumer of shared work, before the effect commits", victim: "mailer", link: "mailer sql", when: before, sees: []string{effect, "commit"}},
	{name: "consumer of shared work, after the effect committed", victim: "mailer", link: "mailer sql", when: after, sees: []string{effect, "commit"}},
	{name: "consumer of shared work, before its failure is noted", victim: "mailer", link: "mailer sql", when: before, sees: []string{fails, "commit"}},
	{name: "consumer of shared work, after its failure was noted", victim: "mailer", link: "mailer sql", when: after, sees: []string{fails, "commit"}},
}

func TestShared(t *testing.T) {
	t.Parallel()
	for _, p := range sharedPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, p)
			s.add("mailer", "counter", map[string]string{"SHARED": "1"})
			s.addQueues("relay")
			if p.sees[0] == fails {
				s.breakUntilFired()
			}
			messages := s.enqueue(3)
			s.begin()
			took := s.wait()
			s.effects("Counted", 1, messages...)
			s.repeat("mailer", messages...)
			s.effects("Counted", 1, messages...)
			t.Logf("resumed and done after %s", took)
		})
	}
}

// Events have several listeners; each does its part once.
var eventPoints = []point{
	{name: "relay, before an event is published", victim: "relay", link: "queues", when: before, sees: []string{"Publish"}},
	{name: "relay, after an event was published", victim: "relay", link: "queues", when: after, sees: []string{"Publish"}},
	{name: "listener, when an event arrives", victim: "one", link: "one", when: before, sees: []string{"POST /"}},
	{name: "listener, before its effect commits", victim: "one", link: "one sql", when: before, sees: []string{effect, "commit"}},
	{name: "listener, after its effect committed", victim: "one", link: "one sql", when: after, sees: []string{effect, "commit"}},
	{name: "listener, after its answer, before the topic has it", victim: "two", link: "two", when: after, sees: []string{"POST /"}},
	{name: "topics, after an event was published", victim: "queues", link: "queues", when: after, sees: []string{"Publish"}, goesOn: true},
}

func TestEvents(t *testing.T) {
	t.Parallel()
	for _, p := range eventPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, p)
			s.add("one", "one", nil)
			s.add("two", "two", nil)
			s.addQueues("relay")
			var messages []queue.Envelope
			for range 3 {
				messages = append(messages, s.leave(queue.AccessChanged.Message("", queue.Access{UserID: s.owner.UserID})))
			}
			s.begin()
			took := s.wait()
			s.effects("Heard", 2, messages...)
			t.Logf("resumed and done after %s", took)
		})
	}
}

// Whoever writes has the change and its message, or neither.
var writerPoints = []point{
	{name: "function, before the commit", victim: "tasks", link: "tasks sql", when: before, sees: []string{"insert into app.outbox", "commit"}},
	{name: "function, after the commit, before its answer", victim: "tasks", link: "tasks sql", when: after, sees: []string{"insert into app.outbox", "commit"}},
	{name: "function, after its answer, before the nudge", victim: "tasks", link: "tasks", when: after, sees: []string{"POST /api/v1/projects/"}, goesOn: true},
	{name: "function, after its answer, which is lost", victim: "tasks", link: "tasks", when: after, sees: []string{"POST /api/v1/projects/"}},
}

func TestWriter(t *testing.T) {
	t.Parallel()
	for _, p := range writerPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, p)
			s.add("mailer", "counter", nil)
			s.add("tasks", "tasks", nil)
			s.addQueues("relay")
			project, who := s.project(), s.Member(t, s.owner.TenantID, "member").UserID
			s.begin()
			s.create(project, who, "key-1")
			s.create(project, who, "key-2")
			took := s.wait()
			messages := s.all(queue.MailTaskAssigned.Kind)
			var tasks int
			s.Scan(t, `select count(*) from app.tasks`, nil, &tasks)
			if tasks != 2 || len(messages) != 2 {
				t.Errorf("%d tasks and %d messages of 2 requests", tasks, len(messages))
			}
			s.effects("Counted", 1, messages...)
			t.Logf("resumed and done after %s", took)
		})
	}
}

func (s *stage) project() ids.ID {
	s.t.Helper()
	id := ids.New()
	s.SQL(s.t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Project', $3, $3)`, s.owner.TenantID, id, s.owner.UserID)
	return id
}

// create creates a task with an assignee as a client does that repeats a request
// whose answer did not come, with the same key.
func (s *stage) create(project, assignee ids.ID, key string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"title": "Task", "assignee_id": assignee})
	if err != nil {
		s.t.Fatal(err)
	}
	var last string
	err = until(func() bool {
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.fronts["tasks"].url+"/api/v1/projects/"+project.String()+"/tasks/", bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.owner.Token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			last = err.Error()
			return false
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		last = resp.Status + " " + string(raw)
		return resp.StatusCode == http.StatusCreated
	})
	if err != nil {
		s.t.Fatalf("create a task: %v: %s", err, last)
	}
}

// all gives every message of a kind.
func (s *stage) all(kind string) []queue.Envelope {
	s.t.Helper()
	var raw string
	s.Scan(s.t, `select coalesce(json_agg(o), '[]')::text from (select 1 as version, tenant_id, id, kind, key, created_at, payload from app.outbox where kind = $1) o`, []any{kind}, &raw)
	var out []queue.Envelope
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// TestPoison holds that a message which always fails is given up after its
// attempts and stops no other one, and that it can be delivered again.
func TestPoison(t *testing.T) {
	t.Parallel()
	s := newStage(t, point{})
	poison := queue.Assignment{TaskID: ids.New(), UserID: s.owner.UserID}
	s.add("mailer", "counter", map[string]string{"POISON": poison.TaskID.String()})
	s.addQueues("relay")
	bad := s.leave(queue.MailTaskAssigned.Message("", poison))
	messages := s.enqueue(20)
	s.begin()
	dead := func() (n int) {
		s.Scan(t, `select count(*) from app.outbox where dead_at is not null and id = $1 and last_error = 'poison' and attempts = 4`, []any{bad.ID}, &n)
		return n
	}
	if err := until(func() bool { return s.open() == 0 }); err != nil {
		t.Fatalf("%v: %d open", err, s.open())
	}
	if dead() != 1 {
		t.Error("the poison is not a dead letter after its attempts")
	}
	s.effects("Counted", 1, messages...)
	// The line that the alert counts.
	var alarms int
	for _, line := range s.lines("mailer", "message") {
		if line["severity"] == "ERROR" && line["result"] == "dead" && line["message_id"] == bad.ID.String() && line["kind"] == bad.Kind {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("the dead letter is logged %d times", alarms)
	}
	// As `make replay` does.
	s.SQL(t, `update app.outbox set dead_at = null, attempts = 0, available_at = now(), lease_until = null where id = $1`, bad.ID)
	if err := until(func() bool { return dead() == 1 }); err != nil {
		t.Errorf("the poison was not tried again: %v", err)
	}
}

// TestQueuesDown holds that writes succeed while Cloud Tasks and Pub/Sub do not
// answer, and that everything drains when they are back.
func TestQueuesDown(t *testing.T) {
	t.Parallel()
	s := newStage(t, point{})
	s.add("mailer", "counter", nil)
	s.add("tasks", "tasks", nil)
	s.add("one", "one", nil)
	s.add("two", "two", nil)
	s.addQueues("relay", "relay2")
	for _, p := range []*callProxy{s.queues, s.events} { // two with Google's emulator
		p.down.Store(true)
	}
	project, who := s.project(), s.Member(t, s.owner.TenantID, "member").UserID
	s.begin()
	for _, key := range []string{"a", "b", "c"} {
		s.create(project, who, key)
	}
	event := s.leave(queue.AccessChanged.Message("", queue.Access{UserID: s.owner.UserID}))
	refused := func() (n int) {
		s.Scan(t, `select count(*) from app.outbox where done_at is null and last_error <> ''`, nil, &n)
		return n
	}
	if err := until(func() bool { return refused() == 4 }); err != nil {
		t.Fatalf("%v: %d messages were refused", err, refused())
	}
	for _, p := range []*callProxy{s.queues, s.events} {
		p.down.Store(false)
	}
	took := s.wait()
	s.effects("Counted", 1, s.all(queue.MailTaskAssigned.Kind)...)
	s.effects("Heard", 2, event)
	t.Logf("drained %s after they were back", took)
}
