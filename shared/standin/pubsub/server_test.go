package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

const (
	people = "projects/local/topics/people"
	dead   = "projects/local/topics/dead"
	sync1  = "projects/local/subscriptions/membersync"
)

// dial serves s over real gRPC to the official client.
func dial(t testing.TB, s *Server) *client.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(context.Background(), "local", option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		g.Stop()
		<-served
		s.Close()
	})
	return c
}

// endpoint notes what is pushed and answers as told.
type endpoint struct {
	*httptest.Server
	mu   sync.Mutex
	seen []pushed
}

type pushed struct {
	wrapped

	at     time.Time
	header http.Header
}

func newEndpoint(t testing.TB, answer func(n int, p pushed) int) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := pushed{at: time.Now(), header: r.Header.Clone()}
		if err := json.NewDecoder(r.Body).Decode(&p.wrapped); err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		e.seen = append(e.seen, p)
		n := len(e.seen)
		e.mu.Unlock()
		w.WriteHeader(answer(n, p))
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) calls() []pushed {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]pushed(nil), e.seen...)
}

func always(code int) func(int, pushed) int { return func(int, pushed) int { return code } }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not come about", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func ensure(t testing.TB, s *Server, c SubscriptionConfig) {
	t.Helper()
	if c.Name == "" {
		c.Name = sync1
	}
	if c.Topic == "" {
		c.Topic = people
	}
	if err := s.Ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func publish(t testing.TB, c *client.Client, key string, texts ...string) {
	t.Helper()
	p := c.Publisher("people")
	p.EnableMessageOrdering = true
	defer p.Stop()
	for _, text := range texts {
		if _, err := p.Publish(t.Context(), &client.Message{Data: []byte(text), OrderingKey: key, Attributes: map[string]string{"kind": "x"}}).Get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

type tokens struct{}

func (tokens) Token(email, audience string) (string, error) {
	if email == "broken" {
		return "", errors.New("no key")
	}
	return email + "/" + audience, nil
}

func want(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestPushIsWhatTheServiceSends(t *testing.T) {
	t.Parallel()
	s := New(WithTokens(tokens{}))
	c := dial(t, s)
	e := newEndpoint(t, always(204))
	other := newEndpoint(t, always(200))
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL + "/in", ServiceAccount: "sa@x", Audience: "aud"})
	ensure(t, s, SubscriptionConfig{Name: sync1 + "2", Endpoint: other.URL, DeadTopic: dead})
	publish(t, c, "k", "hello")
	eventually(t, "acknowledged", func() bool { return s.Backlog(sync1) == 0 && s.Backlog(sync1+"2") == 0 })
	got := e.calls()[0]
	if string(got.Message.Data) != "hello" || got.Message.OrderingKey != "k" || got.Message.Attributes["kind"] != "x" || got.Subscription != sync1 ||
		got.Message.MessageID == "" || got.Message.MessageID != got.Message.MessageID2 || got.Message.PublishTime == "" || got.Attempt != 0 {
		t.Errorf("%+v", got.wrapped)
	}
	if got.header.Get("Authorization") != "Bearer sa@x/aud" || got.header.Get("Content-Type") != "application/json" || got.header.Get("User-Agent") != "CloudPubSub-Google" {
		t.Errorf("%v", got.header)
	}
	second := other.calls()[0]
	if second.Attempt != 1 || second.header.Get("Authorization") != "" || second.Message.MessageID != got.Message.MessageID {
		t.Errorf("%+v", second)
	}
}

func TestFailuresWaitThenGoToTheDeadLetters(t *testing.T) {
	t.Parallel()
	given := make(chan *pb.PubsubMessage, 9)
	s := New(WithOnDead(func(_ string, m *pb.PubsubMessage) { given <- m }))
	c := dial(t, s)
	e := newEndpoint(t, always(500))
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL, MinBackoff: 20 * time.Millisecond, MaxBackoff: 70 * time.Millisecond, DeadTopic: dead, MaxAttempts: 5})
	ensure(t, s, SubscriptionConfig{Name: "projects/local/subscriptions/letters", Topic: dead})
	publish(t, c, "k", "doomed")
	<-given
	calls := e.calls()
	if len(calls) != 5 || calls[4].Attempt != 5 {
		t.Fatalf("%d calls", len(calls))
	}
	for i, least := range []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 70 * time.Millisecond, 70 * time.Millisecond} {
		if gap := calls[i+1].at.Sub(calls[i].at); gap < least {
			t.Errorf("pause %d: %v", i+1, gap)
		}
	}
	pulled, err := c.SubscriptionAdminClient.Pull(t.Context(), &pb.PullRequest{Subscription: "projects/local/subscriptions/letters", MaxMessages: 10})
	if err != nil || len(pulled.ReceivedMessages) != 1 {
		t.Fatal(pulled, err)
	}
	letter := pulled.ReceivedMessages[0].Message
	if string(letter.Data) != "doomed" || letter.OrderingKey != "k" || letter.Attributes["kind"] != "x" ||
		letter.Attributes["CloudPubSubDeadLetterSourceDeliveryCount"] != "5" || letter.Attributes["CloudPubSubDeadLetterSourceSubscription"] != "membersync" {
		t.Errorf("%v", letter)
	}
	if s.Backlog(sync1) != 0 || len(given) != 0 || len(e.calls()) != 5 {
		t.Error("more than one dead letter, or the message stayed")
	}
}

// Without the topic of dead letters a message is kept, as in the service.
func TestDeadLetterWithoutATopicStays(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	e := newEndpoint(t, func(n int, _ pushed) int {
		if n == 6 {
			return 200
		}
		return 503
	})
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL, MaxBackoff: time.Millisecond, MinBackoff: time.Millisecond, DeadTopic: dead})
	if err := c.TopicAdminClient.DeleteTopic(t.Context(), &pb.DeleteTopicRequest{Topic: dead}); err != nil {
		t.Fatal(err)
	}
	publish(t, c, "", "x")
	eventually(t, "a sixth attempt", func() bool { return s.Backlog(sync1) == 0 })
	if n := len(e.calls()); n != 6 {
		t.Errorf("%d", n)
	}
}

func TestOneOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	var mu sync.Mutex
	open := map[string]int{}
	e := newEndpoint(t, func(n int, p pushed) int {
		mu.Lock()
		open[p.Message.OrderingKey]++
		if p.Message.OrderingKey != "" && open[p.Message.OrderingKey] > 1 {
			t.Error("two of a key at a time")
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			open[p.Message.OrderingKey]--
			mu.Unlock()
		}()
		if n%3 == 0 {
			return 500
		}
		return 200
	})
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL, Ordered: true, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	for i := range 15 {
		for _, key := range []string{"a", "b", ""} {
			publish(t, c, key, fmt.Sprint(i))
		}
	}
	eventually(t, "all", func() bool { return s.Backlog(sync1) == 0 })
	latest := map[string]int{}
	for _, p := range e.calls() {
		var n int
		if _, err := fmt.Sscan(string(p.Message.Data), &n); err != nil {
			t.Fatal(err)
		}
		key := p.Message.OrderingKey
		if key != "" && n < latest[key] {
			t.Fatalf("%s: %d after %d", key, n, latest[key])
		}
		latest[key] = max(n, latest[key])
	}
}

// A message that is stuck holds back those of its key, and no others.
func TestAStuckKeyHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	e := newEndpoint(t, func(_ int, p pushed) int {
		if string(p.Message.Data) == "stuck" {
			return 500
		}
		return 200
	})
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL, Ordered: true, MinBackoff: time.Hour / 60, MaxBackoff: time.Hour / 60})
	publish(t, c, "a", "stuck", "behind")
	publish(t, c, "b", "free")
	eventually(t, "the others", func() bool { return s.Backlog(sync1) == 2 })
	for _, p := range e.calls() {
		if string(p.Message.Data) == "behind" {
			t.Error("it overtook")
		}
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ctx, admin := t.Context(), c.SubscriptionAdminClient
	ensure(t, s, SubscriptionConfig{Ordered: true, DeadTopic: dead, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	publish(t, c, "k", "1", "2")
	publish(t, c, "", "3")
	pull := func() []*pb.ReceivedMessage {
		got, err := admin.Pull(ctx, &pb.PullRequest{Subscription: sync1, MaxMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		return got.ReceivedMessages
	}
	first := pull()
	if len(first) != 2 || string(first[0].Message.Data) != "1" || string(first[1].Message.Data) != "3" || first[0].DeliveryAttempt != 1 {
		t.Fatalf("%v", first)
	}
	if again := pull(); len(again) != 0 {
		t.Errorf("leased twice: %v", again)
	}
	want(t, "give back", admin.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{Subscription: sync1, AckIds: []string{first[0].AckId}}), codes.OK)
	want(t, "prolong", admin.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{Subscription: sync1, AckIds: []string{first[1].AckId}, AckDeadlineSeconds: 60}), codes.OK)
	want(t, "prolong too long", admin.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{Subscription: sync1, AckIds: []string{"x"}, AckDeadlineSeconds: 601}), codes.InvalidArgument)
	var second []*pb.ReceivedMessage
	eventually(t, "again", func() bool { second = pull(); return len(second) == 1 })
	if second[0].DeliveryAttempt != 2 {
		t.Errorf("%v", second[0])
	}
	want(t, "acknowledge", admin.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: sync1, AckIds: []string{first[0].AckId, second[0].AckId, first[1].AckId}}), codes.OK)
	if third := pull(); len(third) != 1 || string(third[0].Message.Data) != "2" {
		t.Errorf("the next of the key: %v", third)
	}
	if s.Backlog(sync1) != 1 {
		t.Errorf("%d left", s.Backlog(sync1))
	}
	_, err := admin.Pull(ctx, &pb.PullRequest{Subscription: sync1, MaxMessages: -1})
	want(t, "none", err, codes.InvalidArgument)
}

func TestEndpointIsChangedAndTakenAway(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ctx, admin := t.Context(), c.SubscriptionAdminClient
	ensure(t, s, SubscriptionConfig{})
	publish(t, c, "", "1")
	e := newEndpoint(t, always(200))
	want(t, "push", admin.ModifyPushConfig(ctx, &pb.ModifyPushConfigRequest{Subscription: sync1, PushConfig: &pb.PushConfig{PushEndpoint: e.URL}}), codes.OK)
	eventually(t, "what waited", func() bool { return s.Backlog(sync1) == 0 })
	_, err := admin.Pull(ctx, &pb.PullRequest{Subscription: sync1, MaxMessages: 1})
	want(t, "pulling from a push subscription", err, codes.FailedPrecondition)

	bad := newEndpoint(t, always(404))
	changed, err := admin.UpdateSubscription(ctx, &pb.UpdateSubscriptionRequest{
		Subscription: &pb.Subscription{Name: sync1, Topic: people, PushConfig: &pb.PushConfig{PushEndpoint: bad.URL}, AckDeadlineSeconds: 20},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"push_config", "ack_deadline_seconds"}},
	})
	if err != nil || changed.AckDeadlineSeconds != 20 || changed.PushConfig.PushEndpoint != bad.URL {
		t.Fatal(changed, err)
	}
	publish(t, c, "", "2")
	eventually(t, "refused", func() bool { return len(bad.calls()) > 0 })
	want(t, "pull", admin.ModifyPushConfig(ctx, &pb.ModifyPushConfigRequest{Subscription: sync1, PushConfig: &pb.PushConfig{}}), codes.OK)
	eventually(t, "pulled", func() bool {
		got, err := admin.Pull(ctx, &pb.PullRequest{Subscription: sync1, MaxMessages: 1})
		return err == nil && len(got.ReceivedMessages) == 1
	})
	want(t, "delete", admin.DeleteSubscription(ctx, &pb.DeleteSubscriptionRequest{Subscription: sync1}), codes.OK)
	_, err = admin.GetSubscription(ctx, &pb.GetSubscriptionRequest{Subscription: sync1})
	want(t, "deleted", err, codes.NotFound)
	publish(t, c, "", "3")
}

func TestTopicsAndSubscriptionsAreListed(t *testing.T) {
	t.Parallel()
	s := New(WithTokens(tokens{}))
	c := dial(t, s)
	ctx := t.Context()
	ensure(t, s, SubscriptionConfig{DeadTopic: dead, MaxAttempts: 7})
	ensure(t, s, SubscriptionConfig{Name: sync1 + "2"})
	ensure(t, s, SubscriptionConfig{DeadTopic: dead, MaxAttempts: 8, AckDeadline: 30 * time.Second})
	var got []string
	for topic, err := range c.TopicAdminClient.ListTopics(ctx, &pb.ListTopicsRequest{Project: "projects/local", PageSize: 1}).All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, topic.Name)
	}
	for sub, err := range c.SubscriptionAdminClient.ListSubscriptions(ctx, &pb.ListSubscriptionsRequest{Project: "projects/local", PageSize: 1}).All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, sub.Name)
	}
	for name, err := range c.TopicAdminClient.ListTopicSubscriptions(ctx, &pb.ListTopicSubscriptionsRequest{Topic: people}).All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if strings.Join(got, " ") != strings.Join([]string{dead, people, sync1, sync1 + "2", sync1, sync1 + "2"}, " ") {
		t.Errorf("%v", got)
	}
	sub, err := c.SubscriptionAdminClient.GetSubscription(ctx, &pb.GetSubscriptionRequest{Subscription: sync1})
	if err != nil || sub.DeadLetterPolicy.MaxDeliveryAttempts != 8 || sub.AckDeadlineSeconds != 30 {
		t.Error(sub, err)
	}
	if _, err := c.TopicAdminClient.GetTopic(ctx, &pb.GetTopicRequest{Topic: people}); err != nil {
		t.Error(err)
	}
	_, err = c.TopicAdminClient.CreateTopic(ctx, &pb.Topic{Name: people})
	want(t, "twice", err, codes.AlreadyExists)
	_, err = c.SubscriptionAdminClient.CreateSubscription(ctx, &pb.Subscription{Name: sync1, Topic: people})
	want(t, "twice", err, codes.AlreadyExists)
	_, err = c.TopicAdminClient.GetTopic(ctx, &pb.GetTopicRequest{Topic: people + "x"})
	want(t, "unknown", err, codes.NotFound)
	_, err = c.TopicAdminClient.GetTopic(ctx, &pb.GetTopicRequest{Topic: "x"})
	want(t, "misnamed", err, codes.InvalidArgument)
	if err := s.Ensure(ctx, SubscriptionConfig{Name: sync1, Topic: people, Ordered: true}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("the ordering changed: %v", err)
	}
}

func TestWhatIsNotImplementedIsRefused(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ctx := t.Context()
	ensure(t, s, SubscriptionConfig{})
	second := durationpb.New(time.Second)
	for what, tc := range map[string]struct {
		sub  *pb.Subscription
		code codes.Code
	}{
		"filter":       {&pb.Subscription{Filter: "x"}, codes.Unimplemented},
		"exactly once": {&pb.Subscription{EnableExactlyOnceDelivery: true}, codes.Unimplemented},
		"expiration":   {&pb.Subscription{ExpirationPolicy: &pb.ExpirationPolicy{}}, codes.Unimplemented},
		"unwrapped":    {&pb.Subscription{PushConfig: &pb.PushConfig{PushEndpoint: "http://x", Wrapper: &pb.PushConfig_NoWrapper_{NoWrapper: &pb.PushConfig_NoWrapper{WriteMetadata: true}}}}, codes.Unimplemented},
		"no signer":    {&pb.Subscription{PushConfig: &pb.PushConfig{PushEndpoint: "http://x", AuthenticationMethod: &pb.PushConfig_OidcToken_{OidcToken: &pb.PushConfig_OidcToken{ServiceAccountEmail: "a"}}}}, codes.InvalidArgument},
		"only a token": {&pb.Subscription{PushConfig: &pb.PushConfig{AuthenticationMethod: &pb.PushConfig_OidcToken_{OidcToken: &pb.PushConfig_OidcToken{ServiceAccountEmail: "a"}}}}, codes.InvalidArgument},
		"endpoint":     {&pb.Subscription{PushConfig: &pb.PushConfig{PushEndpoint: "x"}}, codes.InvalidArgument},
		"attribute":    {&pb.Subscription{PushConfig: &pb.PushConfig{PushEndpoint: "http://x", Attributes: map[string]string{"a": "b"}}}, codes.InvalidArgument},
		"few attempts": {&pb.Subscription{DeadLetterPolicy: &pb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: 4}}, codes.InvalidArgument},
		"no dead":      {&pb.Subscription{DeadLetterPolicy: &pb.DeadLetterPolicy{}, AckDeadlineSeconds: 10}, codes.InvalidArgument},
		"backoff":      {&pb.Subscription{RetryPolicy: &pb.RetryPolicy{MaximumBackoff: second}}, codes.InvalidArgument},
		"deadline":     {&pb.Subscription{AckDeadlineSeconds: 9}, codes.InvalidArgument},
		"retention":    {&pb.Subscription{MessageRetentionDuration: second}, codes.InvalidArgument},
		"no topic":     {&pb.Subscription{Topic: people + "x"}, codes.NotFound},
	} {
		tc.sub.Name = "projects/local/subscriptions/other"
		if tc.sub.Topic == "" {
			tc.sub.Topic = people
		}
		_, err := c.SubscriptionAdminClient.CreateSubscription(ctx, tc.sub)
		want(t, what, err, tc.code)
	}
	_, err := c.SubscriptionAdminClient.CreateSubscription(ctx, &pb.Subscription{Name: "x", Topic: people})
	want(t, "name", err, codes.InvalidArgument)
	_, err = c.TopicAdminClient.CreateTopic(ctx, &pb.Topic{Name: people + "2", KmsKeyName: "k"})
	want(t, "key", err, codes.Unimplemented)
	for _, mask := range [][]string{nil, {"filter"}} {
		_, err = c.SubscriptionAdminClient.UpdateSubscription(ctx, &pb.UpdateSubscriptionRequest{Subscription: &pb.Subscription{Name: sync1}, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		want(t, "mask", err, codes.InvalidArgument)
	}
	err = c.Subscriber("membersync").Receive(ctx, func(context.Context, *client.Message) {})
	want(t, "streaming pull", err, codes.Unimplemented)

	for what, m := range map[string]*pb.PubsubMessage{
		"empty":      {},
		"long key":   {Data: []byte("x"), OrderingKey: strings.Repeat("k", 1025)},
		"attribute":  {Data: []byte("x"), Attributes: map[string]string{"goog-x": "y"}},
		"long value": {Data: []byte("x"), Attributes: map[string]string{"x": strings.Repeat("y", 1025)}},
		"large":      {Data: make([]byte, 10<<20)},
		"hundred one": {Data: []byte("x"), Attributes: func() map[string]string {
			out := map[string]string{}
			for i := range 101 {
				out[fmt.Sprint(i)] = ""
			}
			return out
		}()},
	} {
		_, err := s.Publish(ctx, &pb.PublishRequest{Topic: people, Messages: []*pb.PubsubMessage{{Data: []byte("good")}, m}})
		want(t, what, err, codes.InvalidArgument)
	}
	_, err = s.Publish(ctx, &pb.PublishRequest{Topic: people})
	want(t, "nothing", err, codes.InvalidArgument)
	if s.Backlog(sync1) != 0 {
		t.Error("a refused request left messages")
	}
}

func TestOldMessagesGo(t *testing.T) {
	t.Parallel()
	s := New()
	dial(t, s)
	e := newEndpoint(t, always(500))
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	sub, err := s.subscription(sync1)
	if err != nil {
		t.Fatal(err)
	}
	sub.mu.Lock()
	sub.pb.MessageRetentionDuration = durationpb.New(50 * time.Millisecond)
	sub.mu.Unlock()
	if _, err := s.Publish(t.Context(), &pb.PublishRequest{Topic: people, Messages: []*pb.PubsubMessage{{Data: []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "given up by age", func() bool { return s.Backlog(sync1) == 0 })
	if len(e.calls()) == 0 {
		t.Error("never tried")
	}
}

func TestTokenThatCannotBeMadeIsAFailure(t *testing.T) {
	t.Parallel()
	s := New(WithTokens(tokens{}))
	t.Cleanup(s.Close)
	e := newEndpoint(t, always(200))
	ensure(t, s, SubscriptionConfig{Endpoint: e.URL, ServiceAccount: "broken"})
	sub, err := s.subscription(sync1)
	if err != nil {
		t.Fatal(err)
	}
	if code, reason := s.post(t.Context(), sub.pb, &pb.PubsubMessage{}, 1); code != 0 || reason != "no key" {
		t.Errorf("%d %s", code, reason)
	}
}

func TestCloseBreaksOffAndRefuses(t *testing.T) {
	t.Parallel()
	s := New()
	began := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		// The server notices that the client left only once the body is read.
		if err := json.NewDecoder(r.Body).Decode(&wrapped{}); err != nil {
			t.Error(err)
		}
		close(began)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	ensure(t, s, SubscriptionConfig{Endpoint: slow.URL})
	if _, err := s.Publish(t.Context(), &pb.PublishRequest{Topic: people, Messages: []*pb.PubsubMessage{{Data: []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	<-began
	s.Close()
	want(t, "after the end", s.Ensure(t.Context(), SubscriptionConfig{Name: sync1, Topic: people}), codes.Unavailable)
}
