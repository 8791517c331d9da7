package pubsub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// pusher makes what the line runs for a message: one push request, and what
// follows from it.
func (s *subscription) pusher(m *message) func(context.Context) {
	return func(ctx context.Context) {
		s.mu.Lock()
		if m.gone || !s.pushes() {
			s.mu.Unlock()
			return
		}
		if s.expired(m, time.Now()) {
			s.remove(m, time.Now())
			s.mu.Unlock()
			return
		}
		m.running = true
		m.attempts++
		attempt, config := m.attempts, s.pb
		s.mu.Unlock()

		code, reason := s.server.post(ctx, config, m.PubsubMessage, attempt)
		if !acknowledges(code) && ctx.Err() == nil {
			s.server.log.WarnContext(ctx, "push failed", "subscription", config.GetName(), "message_id", m.GetMessageId(), "attempt", attempt, "status", code, "reason", reason)
		}
		s.conclude(m, acknowledges(code))
	}
}

func (s *subscription) conclude(m *message, ok bool) {
	s.mu.Lock()
	m.running = false
	if m.gone {
		s.mu.Unlock()
		return
	}
	if ok {
		s.remove(m, time.Now())
		s.mu.Unlock()
		return
	}
	dead, topic := s.failed(m, time.Now())
	s.mu.Unlock()
	if dead != nil {
		s.bury(m, dead, topic)
	}
}

// bury publishes a dead letter and lets its message go. As in the service, a
// message that cannot be published there stays.
func (s *subscription) bury(m *message, dead *pb.PubsubMessage, topic string) {
	_, err := s.server.publish(topic, []*pb.PubsubMessage{dead})
	s.mu.Lock()
	m.running = false
	if err != nil {
		s.release(m, time.Now().Add(s.pause(m.attempts)))
	} else {
		s.remove(m, time.Now())
	}
	s.mu.Unlock()
	if err != nil {
		s.server.log.Warn("a dead letter found no topic", "topic", topic, "error", err)
	} else if s.server.onDead != nil {
		s.server.onDead(s.name(), dead)
	}
}

func (s *subscription) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pb.GetName()
}

// deadLetter is a message with what the service adds to it. Source:
// docs.cloud.google.com/pubsub/docs/dead-letter-topics.
func deadLetter(m *message, sub *pb.Subscription) *pb.PubsubMessage {
	attributes := maps.Clone(m.GetAttributes())
	if attributes == nil {
		attributes = map[string]string{}
	}
	parts := strings.Split(sub.GetName(), "/")
	attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = strconv.Itoa(m.attempts)
	attributes["CloudPubSubDeadLetterSourceSubscription"] = parts[3]
	attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = parts[1]
	attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = m.GetPublishTime().AsTime().Format(time.RFC3339Nano)
	return &pb.PubsubMessage{Data: m.GetData(), Attributes: attributes, OrderingKey: m.GetOrderingKey()}
}

// wrapped is the body of a push request. The service writes ids and times twice.
type wrapped struct {
	Message struct {
		Data         []byte            `json:"data,omitempty"`
		Attributes   map[string]string `json:"attributes,omitempty"`
		MessageID    string            `json:"messageId"`
		MessageID2   string            `json:"message_id"`
		PublishTime  string            `json:"publishTime"`
		PublishTime2 string            `json:"publish_time"`
		OrderingKey  string            `json:"orderingKey,omitempty"`
	} `json:"message"`
	Subscription string `json:"subscription"`
	Attempt      int    `json:"deliveryAttempt,omitempty"`
}

func (s *Server) post(ctx context.Context, sub *pb.Subscription, m *pb.PubsubMessage, attempt int) (code int, reason string) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(sub.GetAckDeadlineSeconds())*time.Second)
	defer cancel()
	var w wrapped
	w.Message.Data, w.Message.Attributes, w.Message.OrderingKey = m.GetData(), m.GetAttributes(), m.GetOrderingKey()
	w.Message.MessageID, w.Message.MessageID2 = m.GetMessageId(), m.GetMessageId()
	at := m.GetPublishTime().AsTime().Format(time.RFC3339Nano)
	w.Message.PublishTime, w.Message.PublishTime2 = at, at
	w.Subscription = sub.GetName()
	if sub.GetDeadLetterPolicy() != nil {
		w.Attempt = attempt
	}
	body, err := json.Marshal(w)
	if err != nil {
		return 0, err.Error()
	}
	push := sub.GetPushConfig()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, push.GetPushEndpoint(), bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "CloudPubSub-Google")
	if o := push.GetOidcToken(); o != nil {
		token, err := s.tokens.Token(o.GetServiceAccountEmail(), cmp.Or(o.GetAudience(), push.GetPushEndpoint()))
		if err != nil {
			return 0, err.Error()
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	// A body that was not read would cost the connection.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, resp.Status
}
