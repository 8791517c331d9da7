// Package queue knows the platform's messages: which kinds there are, what each
// carries, who consumes it, and how one looks on its way from the outbox to its
// consumer. It speaks to no service: queue/tasks hands over to Cloud Tasks,
// queue/events to Pub/Sub, queue/sqs to SQS on AWS, and queue/push is the
// door of a consumer.
//
// A new kind is a line in kinds.go. Its consumer, with its queue or topic and
// its retries, stands in functions/functions.json, from which consumers_gen.go
// is made.
package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coditect/platform/shared/outbox"
)

// Owner says to whom the messages of a kind belong.
type Owner uint8

// The owners of messages.
const (
	ForTenant Owner = iota // app.outbox
	ForPerson              // app.user_outbox
)

// Route is where the messages of a kind go. Exactly one of Consumer and Topic
// is set.
type Route struct {
	Kind  string
	Owner Owner
	// Consumer is the one function that does the work: Cloud Tasks.
	Consumer string
	// Topic is read by every function that listens to it: Pub/Sub.
	Topic string
	// Exclusive work never runs twice at a time, even if it was delivered twice.
	Exclusive bool
}

// Kind is a kind of message with a payload of type T. Payloads carry ids.
type Kind[T any] struct{ Route }

// Message makes a message of the kind. Those of one owner with the same key
// that is not empty are delivered one after the other.
func (k Kind[T]) Message(key string, payload T) outbox.Message {
	return outbox.New(k.Kind, key, payload)
}

// Consumer is a function that messages are delivered to, as functions.json
// describes it.
type Consumer struct {
	Name string
	// Queue is set for functions behind Cloud Tasks, Topic for those behind
	// Pub/Sub.
	Queue string
	Topic string
	// Ordered tells that messages of one key arrive one after the other.
	Ordered bool
	// MaxAttempts is after how many failures a message is a dead letter.
	MaxAttempts int
	// MinBackoff and MaxBackoff bound the pause between two attempts.
	MinBackoff, MaxBackoff time.Duration
	// MaxAge is after how long it is one although only a dependency failed.
	MaxAge time.Duration
	// Rate is how many are handed out a second, Concurrency how many are under
	// way, at most.
	Rate        float64
	Concurrency int
}

// Registry is a set of kinds and of consumers that fit together.
type Registry struct {
	routes    map[string]Route
	consumers map[string]Consumer
	listeners map[string][]string
}

// NewRegistry refuses kinds without a consumer, consumers without a name, and
// names given twice.
func NewRegistry(routes []Route, consumers []Consumer) (*Registry, error) {
	r := &Registry{routes: map[string]Route{}, consumers: map[string]Consumer{}, listeners: map[string][]string{}}
	for _, c := range consumers {
		if _, twice := r.consumers[c.Name]; twice || c.Name == "" {
			return nil, fmt.Errorf("queue: consumer %q is there twice, or has no name", c.Name)
		}
		if (c.Queue == "") == (c.Topic == "") {
			return nil, fmt.Errorf("queue: consumer %s needs a queue or a topic", c.Name)
		}
		r.consumers[c.Name] = c
		if c.Topic != "" {
			r.listeners[c.Topic] = append(r.listeners[c.Topic], c.Name)
		}
	}
	for _, route := range routes {
		if _, twice := r.routes[route.Kind]; twice || route.Kind == "" {
			return nil, fmt.Errorf("queue: kind %q is there twice, or has no name", route.Kind)
		}
		switch {
		case (route.Consumer == "") == (route.Topic == ""):
			return nil, fmt.Errorf("queue: kind %s needs a consumer or a topic", route.Kind)
		case route.Consumer != "" && r.consumers[route.Consumer].Queue == "":
			return nil, fmt.Errorf("queue: kind %s goes to %s, which has no queue", route.Kind, route.Consumer)
		case route.Topic != "" && len(r.listeners[route.Topic]) == 0:
			return nil, fmt.Errorf("queue: nobody listens to topic %s of kind %s", route.Topic, route.Kind)
		}
		r.routes[route.Kind] = route
	}
	return r, nil
}

// Platform is the registry of the platform's own kinds and functions.
func Platform() (*Registry, error) { return NewRegistry(kinds, consumers) }

// Route finds where messages of a kind go.
func (r *Registry) Route(kind string) (Route, bool) {
	route, ok := r.routes[kind]
	return route, ok
}

// Routes lists every kind, by name.
func (r *Registry) Routes() []Route {
	out := make([]Route, 0, len(r.routes))
	for _, route := range r.routes {
		out = append(out, route)
	}
	slices.SortFunc(out, func(a, b Route) int {
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return out
}

// Consumer finds a function by its name.
func (r *Registry) Consumer(name string) (Consumer, bool) {
	c, ok := r.consumers[name]
	return c, ok
}

// Listeners names the functions that read a topic.
func (r *Registry) Listeners(topic string) []string { return r.listeners[topic] }

// Receivers is how many functions have to record a message of the kind before
// it is done.
func (r *Registry) Receivers(kind string) int {
	if route := r.routes[kind]; route.Topic != "" {
		return len(r.listeners[route.Topic])
	}
	return 1
}

// Handover is a message that is given to a queue.
type Handover struct {
	Envelope Envelope
	// Number counts how often the message was handed over; the first is 1.
	Number int
	// NotBefore is when it is to be delivered; the zero time is at once. Only
	// messages for a queue have one.
	NotBefore time.Time
	// Trouble is what was last said of it, if it was handed over before.
	Trouble string
	// Route says to what it goes, Consumer to whom when it is a queue.
	Route    Route
	Consumer Consumer
	// URL is the consumer's, and the audience of the token it is called with.
	URL string
}

// Deliverer gives messages to a service that delivers them at least once. It
// returns one error per message, in their order; nil means that the service
// has it.
type Deliverer interface {
	Deliver(ctx context.Context, messages []Handover) []error
}

// Delivery is a message that reached its consumer.
type Delivery struct {
	Envelope Envelope
	// Attempt counts the deliveries of this hand-over; the first is 1.
	Attempt int
}
