package stripe

import (
	"bytes"
	"encoding/gob"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// state is everything there is.
type state struct {
	Clocks        map[string]*Clock
	Customers     map[string]*Customer
	Methods       map[string]*PaymentMethod
	Intents       map[string]*PaymentIntent
	Setups        map[string]*SetupIntent
	Products      map[string]*Product
	Prices        map[string]*Price
	Subscriptions map[string]*Subscription
	Schedules     map[string]*Schedule
	Invoices      map[string]*Invoice
	Meters        map[string]*Meter
	MeterEvents   map[string]*MeterEvent // by meter and identifier
	Endpoints     map[string]*Endpoint
	Events        []*Event
	Keys          map[string]*kept
	// Order is when an object was made, among all: lists are sorted by it.
	Order map[string]int64
	Made  int64
}

func newState() *state {
	return &state{
		Clocks: map[string]*Clock{}, Customers: map[string]*Customer{}, Methods: map[string]*PaymentMethod{}, Intents: map[string]*PaymentIntent{},
		Setups: map[string]*SetupIntent{}, Products: map[string]*Product{}, Prices: map[string]*Price{}, Subscriptions: map[string]*Subscription{},
		Schedules: map[string]*Schedule{}, Invoices: map[string]*Invoice{}, Meters: map[string]*Meter{}, MeterEvents: map[string]*MeterEvent{},
		Endpoints: map[string]*Endpoint{}, Keys: map[string]*kept{}, Order: map[string]int64{},
	}
}

// made notes a new object.
func (s *state) made(id string) {
	s.Made++
	s.Order[id] = s.Made
}

func loadState(file string) (*state, error) {
	s := newState()
	if file == "" {
		return s, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return s, gob.NewDecoder(bytes.NewReader(b)).Decode(s)
}

// save replaces the file whole, so that a crash leaves the old one.
func (s *state) save(file string) error {
	if file == "" {
		return nil
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".stripe-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b.Bytes())
	err = errors.Join(err, tmp.Close())
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return os.Rename(tmp.Name(), file)
}
