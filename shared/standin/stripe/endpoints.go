package stripe

import "slices"

func (p *Endpoint) wants(kind string) bool {
	return p.Status == "enabled" && (slices.Contains(p.EnabledEvents, "*") || slices.Contains(p.EnabledEvents, kind))
}

func (c *request) endpointParams(p *Endpoint) error {
	if v := c.text("url"); v != "" {
		p.URL = v
	}
	if kinds := c.list("enabled_events"); len(kinds) > 0 {
		p.EnabledEvents = kinds
	}
	if c.has("description") {
		p.Description = ref(c.text("description"))
	}
	if c.has("disabled") {
		off, err := c.flag("disabled")
		if err != nil {
			return err
		}
		p.Status = map[bool]string{true: "disabled", false: "enabled"}[off]
	}
	p.Metadata = c.merge(p.Metadata)
	return nil
}

func (c *request) createEndpoint() (any, error) {
	p := &Endpoint{ID: newID("we_"), Object: "webhook_endpoint", APIVersion: ref(c.text("api_version")), Created: c.now().Unix(), Status: "enabled", Secret: newID("whsec_")}
	if err := c.endpointParams(p); err != nil {
		return nil, err
	}
	if p.URL == "" {
		return nil, missing("url")
	}
	if len(p.EnabledEvents) == 0 {
		return nil, missing("enabled_events")
	}
	if p.APIVersion != "" && p.APIVersion != Version {
		return nil, invalid("api_version", "Invalid API version: this stand-in serves "+Version+".")
	}
	c.s.Endpoints[p.ID] = p
	c.s.made(p.ID)
	return struct {
		*Endpoint
		Secret string `json:"secret"` // shown once
	}{p, p.Secret}, nil
}

func (c *request) updateEndpoint() (any, error) {
	p := c.s.Endpoints[c.r.PathValue("id")]
	if p == nil {
		return nil, noSuch("webhook endpoint", c.r.PathValue("id"), "id")
	}
	return p, c.endpointParams(p)
}

func (c *request) listEndpoints() (any, error) {
	var all []*Endpoint
	for _, p := range c.s.Endpoints {
		all = append(all, p)
	}
	return list(c, func(p *Endpoint) string { return p.ID }, all)
}

func (c *request) getEvent() (any, error) {
	for _, e := range c.s.Events {
		if e.ID == c.r.PathValue("id") {
			return e, nil
		}
	}
	return nil, noSuch("event", c.r.PathValue("id"), "id")
}

func (c *request) listEvents() (any, error) {
	var all []*Event
	for _, e := range c.s.Events {
		if !c.has("type") || e.Type == c.text("type") {
			all = append(all, e)
		}
	}
	return list(c, func(e *Event) string { return e.ID }, all)
}
