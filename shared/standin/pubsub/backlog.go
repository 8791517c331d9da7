package pubsub

import (
	"math"
	"net/http"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/coditect/platform/shared/standin/internal/dispatch"
)

// subscription holds what was not acknowledged. Its lock comes after the
// server's and before its line's.
type subscription struct {
	server *Server
	line   *dispatch.Line

	mu    sync.Mutex
	pb    *pb.Subscription // replaced, never changed in place
	count int
	order uint64
	// open are the messages that may be delivered: those without an ordering key
	// and the first of each key.
	open map[*message]struct{}
	// behind are, by ordering key, those that wait for the one before them. A
	// key is there as long as it has a message.
	behind map[string][]*message
}

// message is a message in one subscription.
type message struct {
	dispatch.Item

	*pb.PubsubMessage

	order    uint64
	at       time.Time // not delivered before
	attempts int
	ackID    string // of the latest delivery by pull
	running  bool   // being pushed or buried
	gone     bool
}

func (s *subscription) add(in *pb.PubsubMessage, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	s.order++
	m := &message{PubsubMessage: in, order: s.order}
	m.Do = s.pusher(m)
	if key := in.GetOrderingKey(); key != "" && s.pb.EnableMessageOrdering {
		waiting, busy := s.behind[key]
		if busy {
			s.behind[key] = append(waiting, m)
			return
		}
		s.behind[key] = nil
	}
	s.release(m, now)
}

// release makes a message deliverable from at on.
func (s *subscription) release(m *message, at time.Time) {
	s.open[m] = struct{}{}
	m.at = at
	if s.pushes() {
		s.line.Put(&m.Item, at)
	}
}

func (s *subscription) pushes() bool { return s.pb.GetPushConfig().GetPushEndpoint() != "" }

// remove forgets a message and lets the next of its key out.
func (s *subscription) remove(m *message, now time.Time) {
	s.line.Take(&m.Item)
	m.gone = true
	s.count--
	delete(s.open, m)
	key := m.GetOrderingKey()
	waiting, ordered := s.behind[key]
	switch {
	case key == "" || !ordered:
	case len(waiting) == 0:
		delete(s.behind, key)
	default:
		s.behind[key] = waiting[1:]
		s.release(waiting[0], now)
	}
}

// turn moves what waits between push and pull after a change of the endpoint.
func (s *subscription) turn() {
	for m := range s.open {
		switch {
		case m.running:
		case s.pushes():
			s.line.Put(&m.Item, m.at)
		default:
			s.line.Take(&m.Item)
		}
	}
}

// expired tells whether a message is older than the subscription keeps it.
func (s *subscription) expired(m *message, now time.Time) bool {
	return now.Sub(m.GetPublishTime().AsTime()) > s.pb.GetMessageRetentionDuration().AsDuration()
}

// failed puts a message off, or gives it up: then it is what goes to the topic.
func (s *subscription) failed(m *message, now time.Time) (dead *pb.PubsubMessage, topic string) {
	policy := s.pb.GetDeadLetterPolicy()
	if policy != nil && m.attempts >= int(policy.GetMaxDeliveryAttempts()) {
		m.running = true // until it is buried
		return deadLetter(m, s.pb), policy.GetDeadLetterTopic()
	}
	s.release(m, now.Add(s.pause(m.attempts)))
	return nil, ""
}

// pause is the time after so many failed deliveries: it doubles from the retry
// policy's minimum to its maximum. Without a policy it is that of push
// endpoints. Source: docs.cloud.google.com/pubsub/docs/handling-failures.
func (s *subscription) pause(attempts int) time.Duration {
	least, most := 100*time.Millisecond, time.Minute
	if p := s.pb.GetRetryPolicy(); p != nil {
		least, most = p.GetMinimumBackoff().AsDuration(), p.GetMaximumBackoff().AsDuration()
	}
	return time.Duration(min(float64(least)*math.Exp2(float64(attempts-1)), float64(most)))
}

// acknowledges tells whether a push endpoint took the message. Source:
// docs.cloud.google.com/pubsub/docs/push, "receive messages".
func acknowledges(code int) bool {
	switch code {
	case http.StatusProcessing, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return true
	}
	return false
}
