package tasks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/queue/push"
	"github.com/coditect/platform/shared/standin/cloudtasks"
	"github.com/coditect/platform/shared/standin/oidc"
)

const account = "push@local.iam.gserviceaccount.com"

func serve(t *testing.T, server pb.CloudTasksServer, at string) string {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterCloudTasksServer(g, server)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	return l.Addr().String()
}

func deliverer(t *testing.T, endpoint string) *Deliverer {
	t.Helper()
	cfg, err := config.Load[Config](config.Map(map[string]string{
		"GOOGLE_CLOUD_PROJECT": "local", "TASKS_LOCATION": "here", "TASKS_ENDPOINT": endpoint, "PUSH_SERVICE_ACCOUNT": account,
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := New(cfg)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func message(url string) queue.Handover {
	return queue.Handover{
		Envelope: queue.Envelope{Version: 1, Kind: "mail.invitation", TenantID: ids.New(), ID: ids.New(), Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			CreatedAt: time.Now(), Payload: []byte(`{"invitation_id":"x"}`)},
		Number: 1, URL: url, Consumer: queue.Consumer{Name: "mailer", Queue: "mail"},
	}
}

// door is a consumer that notes what comes through.
type door struct {
	*httptest.Server
	mu    sync.Mutex
	came  []queue.Delivery
	trace []string
	fail  int // refuses that many first
}

func newDoor(t *testing.T, issuer *oidc.Issuer) *door {
	t.Helper()
	keys := httptest.NewServer(issuer.Handler())
	t.Cleanup(keys.Close)
	d := &door{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entrance := push.New(push.Config{Audience: d.URL, Issuer: issuer.Name(), JWKSURL: keys.URL + oidc.KeysPath, ServiceAccounts: []string{account}}, "mailer")
		got, err := entrance.Receive(w, r)
		if err != nil {
			t.Errorf("the door: %v", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.came = append(d.came, got)
		d.trace = append(d.trace, r.Header.Get("traceparent"))
		if d.fail > 0 {
			d.fail--
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) seen() []queue.Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]queue.Delivery(nil), d.came...)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not come about", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func world(t *testing.T) (*cloudtasks.Server, *oidc.Issuer) {
	t.Helper()
	issuer, err := oidc.New("https://accounts.google.com")
	if err != nil {
		t.Fatal(err)
	}
	s := cloudtasks.New(cloudtasks.WithTokens(issuer))
	t.Cleanup(s.Close)
	err = s.Ensure(t.Context(), cloudtasks.QueueConfig{Name: "projects/local/locations/here/queues/mail", MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s, issuer
}

func TestAHundredArriveThroughTheDoor(t *testing.T) {
	t.Parallel()
	server, issuer := world(t)
	d, to := deliverer(t, serve(t, server, "127.0.0.1:0")), newDoor(t, issuer)
	batch := make([]queue.Handover, 100)
	for i := range batch {
		batch[i] = message(to.URL + "/")
	}
	for i, err := range d.Deliver(t.Context(), batch) {
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	eventually(t, "all", func() bool { return len(to.seen()) == len(batch) })
	known := map[ids.ID]bool{}
	for _, got := range to.seen() {
		known[got.Envelope.ID] = true
		if got.Attempt != 1 || string(got.Envelope.Payload) != `{"invitation_id":"x"}` {
			t.Errorf("%+v", got)
		}
	}
	for _, m := range batch {
		if !known[m.Envelope.ID] {
			t.Errorf("%s is missing", m.Envelope.ID)
		}
	}
	if to.trace[0] != batch[0].Envelope.Trace {
		t.Errorf("trace %q", to.trace[0])
	}
	if got := d.Deliver(t.Context(), nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTheSameHandoverMakesOneTask(t *testing.T) {
	t.Parallel()
	server, issuer := world(t)
	d, to := deliverer(t, serve(t, server, "127.0.0.1:0")), newDoor(t, issuer)
	to.fail = 1
	m := message(to.URL)
	for i, err := range d.Deliver(t.Context(), []queue.Handover{m, m, m}) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	eventually(t, "one task, two attempts", func() bool { return len(to.seen()) == 2 })
	if err := d.Deliver(t.Context(), []queue.Handover{m})[0]; err != nil {
		t.Errorf("after it is finished: %v", err)
	}
	m.Number = 2
	if err := d.Deliver(t.Context(), []queue.Handover{m})[0]; err != nil {
		t.Error(err)
	}
	eventually(t, "the second hand-over", func() bool { return len(to.seen()) == 3 })
	attempts := fmt.Sprint(to.seen()[0].Attempt, to.seen()[1].Attempt, to.seen()[2].Attempt)
	if attempts != "1 2 1" {
		t.Errorf("attempts %s", attempts)
	}
}

// A message with a time to come is a task with that schedule time.
func TestScheduleTime(t *testing.T) {
	t.Parallel()
	server, _ := world(t)
	d := deliverer(t, serve(t, server, "127.0.0.1:0"))
	later, now := message("http://127.0.0.1:1"), message("http://127.0.0.1:1")
	later.NotBefore = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	for i, err := range d.Deliver(t.Context(), []queue.Handover{later, now}) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	const parent = "projects/local/locations/here/queues/mail"
	got, err := server.GetTask(t.Context(), &pb.GetTaskRequest{Name: parent + "/tasks/" + name(later.Envelope.ID, 1)})
	if err != nil || !got.GetScheduleTime().AsTime().Equal(later.NotBefore) || got.GetDispatchCount() != 0 {
		t.Errorf("scheduled for %v, want %v: %v", got.GetScheduleTime().AsTime(), later.NotBefore, err)
	}
	got, err = server.GetTask(t.Context(), &pb.GetTaskRequest{Name: parent + "/tasks/" + name(now.Envelope.ID, 1)})
	if err != nil || got.GetScheduleTime().AsTime().After(time.Now()) && got.GetDispatchCount() == 0 {
		t.Errorf("one without a time: %v, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	id := ids.New()
	first := name(id, 1)
	if first != name(id, 1) || first == name(id, 2) || first == name(ids.New(), 1) || len(first) != 32 {
		t.Error("names do not follow message and number")
	}
}

// failing answers every creation with one code.
type failing struct {
	pb.UnimplementedCloudTasksServer
	code codes.Code
}

func (f failing) CreateTask(context.Context, *pb.CreateTaskRequest) (*pb.Task, error) {
	return nil, status.Error(f.code, "as told")
}

func TestClassesOfErrors(t *testing.T) {
	t.Parallel()
	for code, kind := range map[codes.Code]errs.Kind{
		codes.Unavailable: errs.Unavailable, codes.ResourceExhausted: errs.Unavailable, codes.Internal: errs.Unavailable,
		codes.PermissionDenied: errs.Unavailable, codes.NotFound: errs.Unavailable,
		codes.InvalidArgument: errs.Internal, codes.FailedPrecondition: errs.Internal,
	} {
		d := deliverer(t, serve(t, failing{code: code}, "127.0.0.1:0"))
		if err := d.Deliver(t.Context(), []queue.Handover{message("http://x")})[0]; err == nil || errs.KindOf(err) != kind {
			t.Errorf("%s: %v", code, err)
		}
	}
	d := deliverer(t, serve(t, failing{code: codes.OK}, "127.0.0.1:0"))
	broken := message("http://x")
	broken.Envelope.Payload = []byte("{")
	if err := d.Deliver(t.Context(), []queue.Handover{broken})[0]; err == nil || errs.KindOf(err) != errs.Internal {
		t.Errorf("a payload that is no JSON: %v", err)
	}
}

// The service is away, then back: nothing is remembered as failed.
func TestRecovers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	d := deliverer(t, addr)
	for _, err := range d.Deliver(t.Context(), []queue.Handover{message("http://x"), message("http://x")}) {
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("nobody there: %v", err)
		}
	}
	server, issuer := world(t)
	to := newDoor(t, issuer)
	serve(t, server, addr)
	m := message(to.URL)
	eventually(t, "back", func() bool { return d.Deliver(t.Context(), []queue.Handover{m})[0] == nil })
	eventually(t, "arrived", func() bool { return len(to.seen()) == 1 })

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Deliver(ended, []queue.Handover{message("http://x")})[0]; errs.KindOf(err) != errs.Unavailable {
		t.Errorf("the caller left: %v", err)
	}
}

func TestClientThatCannotBeMade(t *testing.T) {
	t.Parallel()
	d := deliverer(t, "127.0.0.1:1")
	d.cfg.Endpoint = "bad scheme://\x00"
	if err := d.Deliver(t.Context(), []queue.Handover{message("http://x")})[0]; errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	right := map[string]string{"GOOGLE_CLOUD_PROJECT": "p", "TASKS_LOCATION": "l", "PUSH_SERVICE_ACCOUNT": "a@b"}
	for name, value := range map[string]string{"GOOGLE_CLOUD_PROJECT": "a/b", "TASKS_LOCATION": "a b", "PUSH_SERVICE_ACCOUNT": "ab", "TASKS_CONCURRENCY": "0"} {
		env := map[string]string{name: value}
		for k, v := range right {
			if _, set := env[k]; !set {
				env[k] = v
			}
		}
		var faults *config.Error
		if _, err := config.Load[Config](config.Map(env)); !errors.As(err, &faults) || len(faults.Faults) != 1 || faults.Faults[0].Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
