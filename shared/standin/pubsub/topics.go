package pubsub

import (
	"context"
	"strings"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/coditect/platform/shared/standin/internal/strict"
)

// The service's limits. Source: docs.cloud.google.com/pubsub/quotas.
const (
	maxBatch      = 1000
	maxMessage    = 10 << 20
	maxAttributes = 100
	maxName       = 256  // bytes of an attribute's name
	maxValue      = 1024 // bytes of its value, and of an ordering key
)

// CreateTopic makes a topic.
func (s *Server) CreateTopic(_ context.Context, in *pb.Topic) (*pb.Topic, error) {
	if err := strict.Only(in, "name", "labels"); err != nil {
		return nil, err
	}
	if !topicName.MatchString(in.GetName()) {
		return nil, invalid("Invalid topic name %q.", in.GetName())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[in.GetName()] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Resource already exists in the project (resource=%s).", in.GetName())
	}
	t := &topic{pb: proto.CloneOf(in), subs: map[string]*subscription{}}
	t.pb.State = pb.Topic_ACTIVE
	s.topics[in.GetName()] = t
	return t.pb, nil
}

// GetTopic answers a topic's configuration.
func (s *Server) GetTopic(_ context.Context, in *pb.GetTopicRequest) (*pb.Topic, error) {
	if err := strict.Only(in, "topic"); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.topic(in.GetTopic())
	if err != nil {
		return nil, err
	}
	return t.pb, nil
}

// ListTopics lists a project's topics by name.
func (s *Server) ListTopics(_ context.Context, in *pb.ListTopicsRequest) (*pb.ListTopicsResponse, error) {
	if err := strict.Only(in, "project", "page_size", "page_token"); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*pb.Topic
	for name, t := range s.topics {
		if strings.HasPrefix(name, in.GetProject()+"/topics/") {
			all = append(all, t.pb)
		}
	}
	page, next, err := paginate(all, (*pb.Topic).GetName, in.GetPageSize(), in.GetPageToken())
	return &pb.ListTopicsResponse{Topics: page, NextPageToken: next}, err
}

// ListTopicSubscriptions lists the names of a topic's subscriptions.
func (s *Server) ListTopicSubscriptions(_ context.Context, in *pb.ListTopicSubscriptionsRequest) (*pb.ListTopicSubscriptionsResponse, error) {
	if err := strict.Only(in, "topic", "page_size", "page_token"); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.topic(in.GetTopic())
	if err != nil {
		return nil, err
	}
	all := make([]string, 0, len(t.subs))
	for name := range t.subs {
		all = append(all, name)
	}
	page, next, err := paginate(all, func(n string) string { return n }, in.GetPageSize(), in.GetPageToken())
	return &pb.ListTopicSubscriptionsResponse{Subscriptions: page, NextPageToken: next}, err
}

// DeleteTopic removes a topic. Its subscriptions keep what they have.
func (s *Server) DeleteTopic(_ context.Context, in *pb.DeleteTopicRequest) (*emptypb.Empty, error) {
	if err := strict.Only(in, "topic"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.topic(in.GetTopic()); err != nil {
		return nil, err
	}
	delete(s.topics, in.GetTopic())
	return &emptypb.Empty{}, nil
}

// Publish gives messages to every subscription of the topic, all or none.
func (s *Server) Publish(_ context.Context, in *pb.PublishRequest) (*pb.PublishResponse, error) {
	if err := strict.Only(in, "topic", "messages"); err != nil {
		return nil, err
	}
	if n := len(in.GetMessages()); n == 0 || n > maxBatch {
		return nil, invalid("A request has 1 to %d messages, not %d.", maxBatch, n)
	}
	if proto.Size(in) > maxMessage {
		return nil, invalid("The request is over %d bytes.", maxMessage)
	}
	for _, m := range in.GetMessages() {
		if err := valid(m); err != nil {
			return nil, err
		}
	}
	ids, err := s.publish(in.GetTopic(), in.GetMessages())
	if err != nil {
		return nil, err
	}
	return &pb.PublishResponse{MessageIds: ids}, nil
}

func valid(m *pb.PubsubMessage) error {
	if err := strict.Only(m, "data", "attributes", "message_id", "publish_time", "ordering_key"); err != nil {
		return err
	}
	switch {
	case len(m.GetData()) == 0 && len(m.GetAttributes()) == 0:
		return invalid("A message must have data or attributes.")
	case len(m.GetOrderingKey()) > maxValue:
		return invalid("The ordering key is over %d bytes.", maxValue)
	case len(m.GetAttributes()) > maxAttributes:
		return invalid("The message has over %d attributes.", maxAttributes)
	}
	for name, value := range m.GetAttributes() {
		if name == "" || len(name) > maxName || strings.HasPrefix(name, "goog") && !strings.HasPrefix(name, "googclient_") || len(value) > maxValue {
			return invalid("The attribute %.40q is not allowed.", name)
		}
	}
	return nil
}

func (s *Server) publish(name string, messages []*pb.PubsubMessage) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.topic(name)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(messages))
	now := timestamppb.Now()
	for i, in := range messages {
		ids[i] = s.nextID()
		m := &pb.PubsubMessage{Data: in.GetData(), Attributes: in.GetAttributes(), OrderingKey: in.GetOrderingKey(), MessageId: ids[i], PublishTime: now}
		for _, sub := range t.subs {
			sub.add(m, now.AsTime())
		}
	}
	return ids, nil
}
