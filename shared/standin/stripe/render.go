package stripe

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// page is one page of a list.
type page struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// list sorts what is newest first and cuts a page of it, as a request asks.
func list[T any](c *request, id func(T) string, all []T) (any, error) {
	limit, err := c.int("limit")
	if err != nil {
		return nil, err
	}
	if !c.has("limit") {
		limit = 10
	}
	if limit < 1 || limit > 100 {
		return nil, invalid("limit", "Invalid limit: must be from 1 to 100.")
	}
	slices.SortFunc(all, func(a, b T) int { return int(c.s.Order[id(b)] - c.s.Order[id(a)]) })
	if after := c.text("starting_after"); after != "" {
		at := slices.IndexFunc(all, func(v T) bool { return id(v) == after })
		if at < 0 {
			return nil, noSuch("object", after, "starting_after")
		}
		all = all[at+1:]
	}
	out := page{Object: "list", Data: []any{}, URL: c.r.URL.Path}
	for i, v := range all {
		if int64(i) == limit {
			out.HasMore = true
			break
		}
		out.Data = append(out.Data, v)
	}
	return out, nil
}

// render writes an answer, with what the request wants expanded in place of
// its id.
func (c *request) render(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	paths := c.list("expand")
	if len(paths) == 0 {
		return raw, nil
	}
	tree, err := decode(raw)
	if err != nil {
		return nil, err
	}
	slices.Sort(paths) // what is nearer first
	for _, path := range paths {
		if err := c.expand(tree, path, strings.Split(path, ".")); err != nil {
			return nil, err
		}
	}
	return json.Marshal(tree)
}

func decode(raw []byte) (tree any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // sums stay exact
	err = d.Decode(&tree)
	return tree, err
}

func (c *request) expand(at any, whole string, steps []string) error {
	if len(steps) == 0 {
		return nil
	}
	switch v := at.(type) {
	case []any:
		for _, member := range v {
			if err := c.expand(member, whole, steps); err != nil {
				return err
			}
		}
	case map[string]any:
		member, ok := v[steps[0]]
		if !ok {
			return invalid("expand", "This property cannot be expanded ("+whole+").")
		}
		if id, text := member.(string); text {
			object := c.s.find(id)
			if object == nil {
				return invalid("expand", "This property cannot be expanded ("+whole+").")
			}
			raw, err := json.Marshal(object)
			if err != nil {
				return err
			}
			if member, err = decode(raw); err != nil {
				return err
			}
			v[steps[0]] = member
		}
		return c.expand(member, whole, steps[1:])
	}
	return nil
}

// find gives an object by its id.
func (s *state) find(id string) any {
	for _, of := range []func() (any, bool){
		func() (any, bool) { v, ok := s.Customers[id]; return v, ok },
		func() (any, bool) { v, ok := s.Methods[id]; return v, ok },
		func() (any, bool) { v, ok := s.Intents[id]; return v, ok },
		func() (any, bool) { v, ok := s.Subscriptions[id]; return v, ok },
		func() (any, bool) { v, ok := s.Schedules[id]; return v, ok },
		func() (any, bool) { v, ok := s.Invoices[id]; return v, ok },
		func() (any, bool) { v, ok := s.Products[id]; return v, ok },
	} {
		if v, ok := of(); ok {
			return v
		}
	}
	return nil
}

// snapshot is an object as it is now.
func snapshot(v any) json.RawMessage {
	raw, _ := json.Marshal(v) // objects always marshal
	return raw
}

// previous is what of an object was otherwise before.
func previous(before, after json.RawMessage) json.RawMessage {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(before, &a) != nil || json.Unmarshal(after, &b) != nil {
		return nil
	}
	was := map[string]json.RawMessage{}
	for name, v := range a {
		if !bytes.Equal(v, b[name]) {
			was[name] = v
		}
	}
	if len(was) == 0 {
		return nil
	}
	return snapshot(was)
}

// emit notes that something happened to an object. before is the object as it
// was, for updates; nil otherwise.
func (c *request) emit(kind string, object any, before json.RawMessage, at int64) {
	e := &Event{
		ID: newID("evt_"), Object: "event", APIVersion: Version, Created: at, Type: kind,
		Data: eventData{Object: snapshot(object)}, Request: eventRequest{ID: ref(c.id), IdempotencyKey: ref(c.key)},
	}
	if before != nil {
		if e.Data.PreviousAttributes = previous(before, e.Data.Object); e.Data.PreviousAttributes == nil {
			return // nothing changed
		}
	}
	for _, p := range c.s.Endpoints {
		if p.wants(kind) {
			e.PendingWebhooks++
		}
	}
	c.s.made(e.ID)
	c.s.Events = append(c.s.Events, e)
}
