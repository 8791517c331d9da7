package pubsub

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/coditect/platform/shared/standin/internal/dispatch"
	"github.com/coditect/platform/shared/standin/internal/strict"
)

// pushable are the parts of a push configuration that are implemented.
var pushable = []string{"push_endpoint", "oidc_token", "pubsub_wrapper", "attributes"}

// settable are the fields of a subscription that are implemented, and output
// that callers may send back.
func settable(prefix string) []string {
	out := []string{
		"name", "topic", "ack_deadline_seconds", "labels", "enable_message_ordering", "message_retention_duration",
		"dead_letter_policy", "retry_policy", "state",
	}
	for _, f := range pushable {
		out = append(out, "push_config."+f)
	}
	for i := range out {
		out[i] = prefix + out[i]
	}
	return out
}

// complete checks a subscription and fills in the defaults.
func (s *Server) complete(in *pb.Subscription) (*pb.Subscription, error) {
	sub := proto.CloneOf(in)
	sub.State = pb.Subscription_ACTIVE
	sub.AckDeadlineSeconds = cmp.Or(sub.AckDeadlineSeconds, 10)
	if sub.MessageRetentionDuration == nil {
		sub.MessageRetentionDuration = durationpb.New(7 * 24 * time.Hour)
	}
	kept := sub.MessageRetentionDuration.AsDuration()
	switch {
	case !subscriptionName.MatchString(sub.GetName()):
		return nil, invalid("Invalid subscription name %q.", sub.GetName())
	case sub.AckDeadlineSeconds < 10 || sub.AckDeadlineSeconds > 600:
		return nil, invalid("ack_deadline_seconds must be between 10 and 600.")
	case kept < 10*time.Minute || kept > 31*24*time.Hour:
		return nil, invalid("message_retention_duration must be between 10 minutes and 31 days.")
	}
	if err := s.completePush(sub.PushConfig); err != nil {
		return nil, err
	}
	if r := sub.RetryPolicy; r != nil {
		if r.MinimumBackoff == nil {
			r.MinimumBackoff = durationpb.New(10 * time.Second)
		}
		if r.MaximumBackoff == nil {
			r.MaximumBackoff = durationpb.New(600 * time.Second)
		}
		least, most := r.MinimumBackoff.AsDuration(), r.MaximumBackoff.AsDuration()
		if least < 0 || most > 600*time.Second || least > most {
			return nil, invalid("retry_policy must be between 0 and 600 seconds, the minimum first.")
		}
	}
	if d := sub.DeadLetterPolicy; d != nil {
		d.MaxDeliveryAttempts = cmp.Or(d.MaxDeliveryAttempts, 5)
		if d.MaxDeliveryAttempts < 5 || d.MaxDeliveryAttempts > 100 || !topicName.MatchString(d.DeadLetterTopic) {
			return nil, invalid("dead_letter_policy needs a topic and 5 to 100 attempts.")
		}
	}
	return sub, nil
}

func (s *Server) completePush(c *pb.PushConfig) error {
	if c.GetPushEndpoint() == "" {
		if c.GetOidcToken() != nil {
			return invalid("A token needs a push_endpoint.")
		}
		return nil
	}
	if at, err := url.Parse(c.GetPushEndpoint()); err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return invalid("push_endpoint %q must be an http or https address.", c.GetPushEndpoint())
	}
	for name, value := range c.GetAttributes() {
		if name != "x-goog-version" || value != "v1" && value != "v1beta1" && value != "v1beta2" {
			return invalid("The push attribute %q is not known.", name)
		}
	}
	if c.GetOidcToken() != nil && (s.tokens == nil || c.GetOidcToken().GetServiceAccountEmail() == "") {
		return invalid("oidc_token needs a service account, and this server a signer.")
	}
	return nil
}

// CreateSubscription makes a subscription to what is published from now on.
func (s *Server) CreateSubscription(_ context.Context, in *pb.Subscription) (*pb.Subscription, error) {
	if err := strict.Only(in, settable("")...); err != nil {
		return nil, err
	}
	return s.put(in, false)
}

func (s *Server) put(in *pb.Subscription, replace bool) (*pb.Subscription, error) {
	full, err := s.complete(in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, status.Error(codes.Unavailable, "The server is closing.")
	}
	if have := s.subs[full.Name]; have != nil {
		if !replace {
			return nil, status.Errorf(codes.AlreadyExists, "Resource already exists in the project (resource=%s).", full.Name)
		}
		return have.reconfigure(full)
	}
	t, err := s.topic(full.GetTopic())
	if err != nil {
		return nil, err
	}
	sub := &subscription{server: s, line: dispatch.NewLine(s.outstanding, 0, 1), pb: full, open: map[*message]struct{}{}, behind: map[string][]*message{}}
	s.subs[full.Name], t.subs[full.Name] = sub, sub
	return full, nil
}

func (s *subscription) reconfigure(full *pb.Subscription) (*pb.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if full.Topic != s.pb.Topic || full.EnableMessageOrdering != s.pb.EnableMessageOrdering {
		return nil, invalid("The topic and the ordering of a subscription cannot be changed.")
	}
	s.pb = full
	s.turn()
	return full, nil
}

// updatable are the paths of an update mask.
var updatable = []string{"ack_deadline_seconds", "labels", "push_config", "retry_policy", "dead_letter_policy", "message_retention_duration"}

// UpdateSubscription changes the fields that the mask names.
func (s *Server) UpdateSubscription(_ context.Context, in *pb.UpdateSubscriptionRequest) (*pb.Subscription, error) {
	if err := strict.Only(in, append(settable("subscription."), "update_mask")...); err != nil {
		return nil, err
	}
	sub, err := s.subscription(in.GetSubscription().GetName())
	if err != nil {
		return nil, err
	}
	sub.mu.Lock()
	next := proto.CloneOf(sub.pb)
	sub.mu.Unlock()
	if len(in.GetUpdateMask().GetPaths()) == 0 {
		return nil, invalid("update_mask must name what to change.")
	}
	from, to := proto.CloneOf(in.GetSubscription()).ProtoReflect(), next.ProtoReflect()
	for _, path := range in.GetUpdateMask().GetPaths() {
		if !slices.Contains(updatable, path) {
			return nil, invalid("Update mask path %q cannot be updated.", path)
		}
		field := to.Descriptor().Fields().ByName(protoreflect.Name(path))
		to.Clear(field)
		if from.Has(field) {
			to.Set(field, from.Get(field))
		}
	}
	return s.put(next, true)
}

// ModifyPushConfig changes where messages are pushed to; an empty configuration
// leaves them to be pulled.
func (s *Server) ModifyPushConfig(_ context.Context, in *pb.ModifyPushConfigRequest) (*emptypb.Empty, error) {
	allowed := []string{"subscription"}
	for _, f := range pushable {
		allowed = append(allowed, "push_config."+f)
	}
	if err := strict.Only(in, allowed...); err != nil {
		return nil, err
	}
	sub, err := s.subscription(in.GetSubscription())
	if err != nil {
		return nil, err
	}
	sub.mu.Lock()
	next := proto.CloneOf(sub.pb)
	sub.mu.Unlock()
	next.PushConfig = proto.CloneOf(in.GetPushConfig())
	_, err = s.put(next, true)
	return &emptypb.Empty{}, err
}

// GetSubscription answers a subscription's configuration.
func (s *Server) GetSubscription(_ context.Context, in *pb.GetSubscriptionRequest) (*pb.Subscription, error) {
	if err := strict.Only(in, "subscription"); err != nil {
		return nil, err
	}
	sub, err := s.subscription(in.GetSubscription())
	if err != nil {
		return nil, err
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.pb, nil
}

// ListSubscriptions lists a project's subscriptions by name.
func (s *Server) ListSubscriptions(_ context.Context, in *pb.ListSubscriptionsRequest) (*pb.ListSubscriptionsResponse, error) {
	if err := strict.Only(in, "project", "page_size", "page_token"); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*pb.Subscription
	for name, sub := range s.subs {
		if strings.HasPrefix(name, in.GetProject()+"/subscriptions/") {
			sub.mu.Lock()
			all = append(all, sub.pb)
			sub.mu.Unlock()
		}
	}
	page, next, err := paginate(all, (*pb.Subscription).GetName, in.GetPageSize(), in.GetPageToken())
	return &pb.ListSubscriptionsResponse{Subscriptions: page, NextPageToken: next}, err
}

// DeleteSubscription removes a subscription with its messages.
func (s *Server) DeleteSubscription(_ context.Context, in *pb.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	if err := strict.Only(in, "subscription"); err != nil {
		return nil, err
	}
	sub, err := s.subscription(in.GetSubscription())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	delete(s.subs, in.GetSubscription())
	for _, t := range s.topics {
		if t.subs[in.GetSubscription()] == sub {
			delete(t.subs, in.GetSubscription())
		}
	}
	s.mu.Unlock()
	sub.line.Close()
	return &emptypb.Empty{}, nil
}

// Pull leases messages of a subscription without an endpoint. It answers what
// there is, at once, which may be nothing.
func (s *Server) Pull(_ context.Context, in *pb.PullRequest) (*pb.PullResponse, error) {
	if err := strict.Only(in, "subscription", "max_messages", "return_immediately"); err != nil {
		return nil, err
	}
	if in.GetMaxMessages() < 1 {
		return nil, invalid("max_messages must be positive.")
	}
	sub, err := s.subscription(in.GetSubscription())
	if err != nil {
		return nil, err
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.pushes() {
		return nil, status.Error(codes.FailedPrecondition, "This method is not supported for this subscription type.")
	}
	now := time.Now()
	var ready []*message
	for m := range sub.open {
		switch {
		case m.running || m.at.After(now):
		case sub.expired(m, now):
			sub.remove(m, now)
		default:
			ready = append(ready, m)
		}
	}
	slices.SortFunc(ready, func(a, b *message) int { return cmp.Compare(a.order, b.order) })
	out := &pb.PullResponse{}
	for _, m := range ready[:min(len(ready), int(in.GetMaxMessages()))] {
		m.attempts++
		m.at = now.Add(time.Duration(sub.pb.GetAckDeadlineSeconds()) * time.Second)
		m.ackID = m.GetMessageId() + "." + strconv.Itoa(m.attempts)
		got := &pb.ReceivedMessage{AckId: m.ackID, Message: m.PubsubMessage}
		if sub.pb.GetDeadLetterPolicy() != nil {
			got.DeliveryAttempt = int32(m.attempts)
		}
		out.ReceivedMessages = append(out.ReceivedMessages, got)
	}
	return out, nil
}

// Acknowledge removes messages that were pulled. Ids that are no longer valid
// are passed over, as in the service.
func (s *Server) Acknowledge(_ context.Context, in *pb.AcknowledgeRequest) (*emptypb.Empty, error) {
	if err := strict.Only(in, "subscription", "ack_ids"); err != nil {
		return nil, err
	}
	return s.leased(in.GetSubscription(), in.GetAckIds(), func(sub *subscription, m *message) bool {
		sub.remove(m, time.Now())
		return false
	})
}

// ModifyAckDeadline prolongs the lease of messages that were pulled; zero gives
// them back.
func (s *Server) ModifyAckDeadline(_ context.Context, in *pb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	if err := strict.Only(in, "subscription", "ack_ids", "ack_deadline_seconds"); err != nil {
		return nil, err
	}
	if in.GetAckDeadlineSeconds() < 0 || in.GetAckDeadlineSeconds() > 600 {
		return nil, invalid("ack_deadline_seconds must be between 0 and 600.")
	}
	return s.leased(in.GetSubscription(), in.GetAckIds(), func(_ *subscription, m *message) bool {
		if in.GetAckDeadlineSeconds() == 0 {
			m.ackID = ""
			return true
		}
		m.at = time.Now().Add(time.Duration(in.GetAckDeadlineSeconds()) * time.Second)
		return false
	})
}

// leased runs act on the messages that ids name; true means that the delivery
// failed.
func (s *Server) leased(name string, ids []string, act func(*subscription, *message) (failed bool)) (*emptypb.Empty, error) {
	sub, err := s.subscription(name)
	if err != nil {
		return nil, err
	}
	var failed []*message
	sub.mu.Lock()
	for m := range sub.open {
		if m.ackID != "" && slices.Contains(ids, m.ackID) && act(sub, m) {
			failed = append(failed, m)
		}
	}
	sub.mu.Unlock()
	for _, m := range failed {
		sub.conclude(m, false)
	}
	return &emptypb.Empty{}, nil
}
