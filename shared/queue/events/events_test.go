package events

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/pubsub"
)

func listen(t *testing.T, at string, register func(*grpc.Server)) string {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	return l.Addr().String()
}

// service is Google's emulator if PUBSUB_EMULATOR_HOST names one, else the
// stand-in; the tests must hold for both.
func service(t *testing.T) string {
	t.Helper()
	if emulator := os.Getenv("PUBSUB_EMULATOR_HOST"); emulator != "" {
		return emulator
	}
	s := pubsub.New()
	t.Cleanup(s.Close)
	return listen(t, "127.0.0.1:0", func(g *grpc.Server) { s.Register(g) })
}

func deliverer(t *testing.T, endpoint, project string) *Deliverer {
	t.Helper()
	cfg, err := config.Load[Config](config.Map(map[string]string{"GOOGLE_CLOUD_PROJECT": project, "PUBSUB_ENDPOINT": endpoint}))
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

// topic makes a topic in a project of its own and a subscription to it.
func topic(t *testing.T, endpoint string, ordered bool) (project string, drain func(n int) []*pb.PubsubMessage) {
	t.Helper()
	project = "p-" + ids.New().String()
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(t.Context(), project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	name, sub := "projects/"+project+"/topics/events", "projects/"+project+"/subscriptions/people"
	if _, err := c.TopicAdminClient.CreateTopic(t.Context(), &pb.Topic{Name: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SubscriptionAdminClient.CreateSubscription(t.Context(), &pb.Subscription{Name: sub, Topic: name, EnableMessageOrdering: ordered}); err != nil {
		t.Fatal(err)
	}
	return project, func(n int) []*pb.PubsubMessage {
		var all []*pb.PubsubMessage
		for deadline := time.Now().Add(20 * time.Second); len(all) < n && time.Now().Before(deadline); {
			got, err := c.SubscriptionAdminClient.Pull(t.Context(), &pb.PullRequest{Subscription: sub, MaxMessages: 100})
			if err != nil {
				t.Fatal(err)
			}
			ack := &pb.AcknowledgeRequest{Subscription: sub}
			for _, m := range got.ReceivedMessages {
				all = append(all, m.Message)
				ack.AckIds = append(ack.AckIds, m.AckId)
			}
			if len(ack.AckIds) > 0 {
				if err := c.SubscriptionAdminClient.Acknowledge(t.Context(), ack); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(all) != n {
			t.Fatalf("%d messages, want %d", len(all), n)
		}
		return all
	}
}

func handover(owner ids.ID, key string, n int) queue.Handover {
	return queue.Handover{Number: 1, Route: queue.ProfileChanged.Route, Envelope: queue.Envelope{
		Version: 1, Kind: queue.ProfileChanged.Route.Kind, UserID: owner, ID: ids.New(), Key: key, Trace: "00-a-b-01",
		CreatedAt: time.Now(), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
	}}
}

func deliver(t *testing.T, d *Deliverer, messages ...queue.Handover) {
	t.Helper()
	for i, err := range d.Deliver(t.Context(), messages) {
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
}

func TestMessagesArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	at := service(t)
	project, drain := topic(t, at, false)
	d := deliverer(t, at, project)
	person := ids.New()
	keyed, loose := handover(person, "profile", 1), handover(person, "", 2)
	loose.Envelope.Trace = ""
	deliver(t, d, keyed, loose)
	for _, got := range drain(2) {
		e, err := queue.Parse(got.Data)
		if err != nil {
			t.Fatal(err)
		}
		want := keyed.Envelope
		if e.ID == loose.Envelope.ID {
			want = loose.Envelope
		}
		ordering := ""
		if want.Key != "" {
			ordering = person.String() + "/profile"
		}
		if e.ID != want.ID || e.UserID != person || string(e.Payload) != string(want.Payload) || got.OrderingKey != ordering ||
			got.Attributes[AttributeKind] != want.Kind || got.Attributes[AttributeID] != want.ID.String() ||
			got.Attributes[AttributeVersion] != "1" || got.Attributes[AttributeTrace] != want.Trace {
			t.Errorf("%+v as %v", want, got)
		}
	}
}

func TestOrderOfAKey(t *testing.T) {
	t.Parallel()
	at := service(t)
	project, drain := topic(t, at, true)
	d := deliverer(t, at, project)
	people := []ids.ID{ids.New(), ids.New(), ids.New()}
	const each = 20
	var batch []queue.Handover
	for n := range each {
		for _, p := range people {
			batch = append(batch, handover(p, "profile", n))
		}
	}
	deliver(t, d, batch[:30]...)
	deliver(t, d, batch[30:]...)
	next := map[ids.ID]int{}
	for _, got := range drain(len(batch)) {
		e, err := queue.Parse(got.Data)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"n":%d}`, next[e.UserID]); string(e.Payload) != want {
			t.Fatalf("%s, want %s", e.Payload, want)
		}
		next[e.UserID]++
	}
}

func TestTopicThatIsMissing(t *testing.T) {
	t.Parallel()
	at := service(t)
	d := deliverer(t, at, "p-"+ids.New().String())
	if err := d.Deliver(t.Context(), []queue.Handover{handover(ids.New(), "k", 1)})[0]; errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v", err)
	}
}

// refusing answers publications with one code while it is told to.
type refusing struct {
	*pubsub.Server

	answer func(*pb.PublishRequest) error
}

func (r refusing) Publish(ctx context.Context, in *pb.PublishRequest) (*pb.PublishResponse, error) {
	if err := r.answer(in); err != nil {
		return nil, err
	}
	return r.Server.Publish(ctx, in)
}

func refuser(t *testing.T, answer func(*pb.PublishRequest) error) string {
	t.Helper()
	s := pubsub.New()
	t.Cleanup(s.Close)
	return listen(t, "127.0.0.1:0", func(g *grpc.Server) {
		r := refusing{s, answer}
		pb.RegisterPublisherServer(g, r)
		pb.RegisterSubscriberServer(g, r)
	})
}

// One message that the service will never take spoils neither its batch nor its
// key.
func TestABadMessageFailsAlone(t *testing.T) {
	t.Parallel()
	at := refuser(t, func(in *pb.PublishRequest) error {
		for _, m := range in.Messages {
			if strings.Contains(string(m.Data), `"n":13`) {
				return status.Error(codes.InvalidArgument, "as told")
			}
		}
		return nil
	})
	project, drain := topic(t, at, true)
	d := deliverer(t, at, project)
	person := ids.New()
	broken := handover(person, "profile", 14)
	broken.Envelope.Payload = []byte("{")
	got := d.Deliver(t.Context(), []queue.Handover{handover(person, "profile", 12), handover(person, "profile", 13), broken, handover(person, "profile", 15)})
	if got[0] != nil || got[3] != nil {
		t.Errorf("%v", got)
	}
	for _, i := range []int{1, 2} {
		if got[i] == nil || errs.KindOf(got[i]) == errs.Unavailable {
			t.Errorf("%d: %v", i, got[i])
		}
	}
	drain(2)
}

// Many messages go in few requests, and nothing overtakes a request that failed.
func TestRequestsInTheirOrder(t *testing.T) {
	t.Parallel()
	const second = `"n":1200}`
	for name, payload := range map[string]func(n int) string{
		"by count": func(n int) string { return fmt.Sprintf(`{"n":%d}`, n) },
		"by size":  func(n int) string { return fmt.Sprintf(`{"pad":%q,"n":%d}`, strings.Repeat("x", 2000), n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests, sent atomic.Int64
			var away atomic.Bool
			away.Store(true)
			at := refuser(t, func(in *pb.PublishRequest) error {
				requests.Add(1)
				if away.Load() && slices.ContainsFunc(in.Messages, func(m *pb.PubsubMessage) bool { return strings.Contains(string(m.Data), second) }) {
					return status.Error(codes.PermissionDenied, "as told")
				}
				sent.Add(int64(len(in.Messages)))
				return nil
			})
			project, drain := topic(t, at, true)
			d := deliverer(t, at, project)
			person := ids.New()
			var all []queue.Handover
			for n := range 2500 {
				m := handover(person, "profile", n)
				m.Envelope.Payload = json.RawMessage(payload(n))
				all = append(all, m)
			}
			faults := d.Deliver(t.Context(), all)
			arrived := int(sent.Load())
			if arrived == 0 || arrived > 1200 {
				t.Errorf("%d messages were sent before the failure", arrived)
			}
			for i, err := range faults {
				if want := i >= arrived; want != (err != nil) || want && errs.KindOf(err) != errs.Unavailable {
					t.Fatalf("%d of %d: %v", i, arrived, err)
				}
			}
			away.Store(false)
			deliver(t, d, all[arrived:]...)
			if n := requests.Load(); n > 12 {
				t.Errorf("%d requests", n)
			}
			for n, got := range drain(len(all)) {
				e, err := queue.Parse(got.Data)
				if err != nil {
					t.Fatal(err)
				}
				if string(e.Payload) != payload(n) {
					t.Fatalf("%d. is %s", n, e.Payload)
				}
			}
		})
	}
}

// The service goes away between the messages of a request that it refused.
func TestAwayWhileMessagesGoOneByOne(t *testing.T) {
	t.Parallel()
	at := refuser(t, func(in *pb.PublishRequest) error {
		switch {
		case len(in.Messages) > 1:
			return status.Error(codes.InvalidArgument, "one of them is bad")
		case strings.Contains(string(in.Messages[0].Data), `"n":2}`):
			return status.Error(codes.PermissionDenied, "as told")
		}
		return nil
	})
	project, drain := topic(t, at, true)
	d := deliverer(t, at, project)
	person := ids.New()
	got := d.Deliver(t.Context(), []queue.Handover{handover(person, "profile", 1), handover(person, "profile", 2), handover(person, "profile", 3)})
	if got[0] != nil || errs.KindOf(got[1]) != errs.Unavailable || errs.KindOf(got[2]) != errs.Unavailable {
		t.Errorf("%v", got)
	}
	drain(1)
}

// After a failure the key is not held back for ever.
func TestAKeyGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	away := make(chan struct{})
	at := refuser(t, func(*pb.PublishRequest) error {
		select {
		case <-away:
			return nil
		default:
			return status.Error(codes.PermissionDenied, "as told")
		}
	})
	project, drain := topic(t, at, true)
	d := deliverer(t, at, project)
	person := ids.New()
	for _, err := range d.Deliver(t.Context(), []queue.Handover{handover(person, "profile", 1), handover(person, "profile", 2)}) {
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%v", err)
		}
	}
	close(away)
	deliver(t, d, handover(person, "profile", 1), handover(person, "profile", 2))
	drain(2)
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
	d := deliverer(t, addr, "local")
	soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	m := handover(ids.New(), "profile", 1)
	if err := d.Deliver(soon, []queue.Handover{m})[0]; errs.KindOf(err) != errs.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
	s := pubsub.New()
	t.Cleanup(s.Close)
	if err := s.Ensure(t.Context(), pubsub.SubscriptionConfig{Name: "projects/local/subscriptions/people", Topic: "projects/local/topics/events"}); err != nil {
		t.Fatal(err)
	}
	listen(t, addr, func(g *grpc.Server) { s.Register(g) })
	deadline := time.Now().Add(30 * time.Second)
	for d.Deliver(t.Context(), []queue.Handover{m})[0] != nil {
		if time.Now().After(deadline) {
			t.Fatal("it does not come back")
		}
	}
	if s.Backlog("projects/local/subscriptions/people") == 0 {
		t.Error("nothing arrived")
	}
}

func TestClientThatCannotBeMade(t *testing.T) {
	t.Parallel()
	d := deliverer(t, "bad scheme://\x00", "local")
	if err := d.Deliver(t.Context(), []queue.Handover{handover(ids.New(), "", 1)})[0]; errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v", err)
	}
	if _, err := config.Load[Config](config.Map(map[string]string{"GOOGLE_CLOUD_PROJECT": "a/b"})); err == nil {
		t.Error("accepted")
	}
}
