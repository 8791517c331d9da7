package stripe

import (
	"net/http"
	"strconv"
)

const (
	// meterPast and meterFuture bound an event's time, as Stripe does.
	meterPast   = 35 * 24 * 60 * 60
	meterFuture = 5 * 60
)

func (c *request) createMeter() (any, error) {
	name, err := c.need("event_name")
	if err != nil {
		return nil, err
	}
	for _, v := range c.s.Meters {
		if v.EventName == name && v.Status == "active" {
			return nil, &apiError{status: http.StatusBadRequest, Type: invalidRequest, Message: "An active meter with the event name " + name + " exists already.", Param: "event_name"}
		}
	}
	formula, err := c.need("default_aggregation.formula")
	if err != nil {
		return nil, err
	}
	if formula != "sum" {
		return nil, invalid("default_aggregation[formula]", "This stand-in sums.")
	}
	display, err := c.need("display_name")
	if err != nil {
		return nil, err
	}
	mapping, value := c.text("customer_mapping.event_payload_key"), c.text("value_settings.event_payload_key")
	if mapping == "" {
		mapping = "stripe_customer_id"
	}
	if value == "" {
		value = "value"
	}
	v := &Meter{
		ID: newID("mtr_"), Object: "billing.meter", Created: c.now().Unix(), CustomerMapping: map[string]string{"type": "by_id", "event_payload_key": mapping},
		Aggregation: map[string]string{"formula": formula}, DisplayName: display, EventName: name, Status: "active", ValueSettings: map[string]string{"event_payload_key": value},
	}
	c.s.Meters[v.ID] = v
	c.s.made(v.ID)
	return v, nil
}

func (c *request) listMeters() (any, error) {
	var all []*Meter
	for _, v := range c.s.Meters {
		if !c.has("status") || v.Status == c.text("status") {
			all = append(all, v)
		}
	}
	return list(c, func(v *Meter) string { return v.ID }, all)
}

func (c *request) createMeterEvent() (any, error) {
	name, err := c.need("event_name")
	if err != nil {
		return nil, err
	}
	var meter *Meter
	for _, v := range c.s.Meters {
		if v.EventName == name && v.Status == "active" {
			meter = v
		}
	}
	if meter == nil {
		return nil, invalid("event_name", "There is no active meter with the event name "+name+".")
	}
	customer := c.text("payload." + meter.CustomerMapping["event_payload_key"])
	cus := c.s.Customers[customer]
	if cus == nil {
		return nil, invalid("payload", "The payload names no customer.")
	}
	value, err := strconv.ParseInt(c.text("payload."+meter.ValueSettings["event_payload_key"]), 10, 64)
	if err != nil {
		return nil, invalid("payload", "The payload's value must be a whole number.")
	}
	now := c.at(customer)
	at, err := c.int("timestamp")
	if err != nil {
		return nil, err
	}
	if at == 0 {
		at = now
	}
	if at < now-meterPast || at > now+meterFuture {
		return nil, invalid("timestamp", "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future.")
	}
	identifier := c.text("identifier")
	if identifier == "" {
		identifier = newID("")
	}
	if len(identifier) > 100 {
		return nil, invalid("identifier", "Invalid string: identifier; must be at most 100 characters.")
	}
	key := meter.ID + " " + identifier
	if c.s.MeterEvents[key] != nil {
		return nil, &apiError{status: http.StatusBadRequest, Type: invalidRequest, Code: "duplicate_meter_event", Message: "An event already exists with identifier " + identifier + ".", Param: "identifier"}
	}
	payload := map[string]string{}
	for path, v := range c.params {
		if k, ok := cut(path, "payload."); ok {
			payload[k] = v
		}
	}
	v := &MeterEvent{Object: "billing.meter_event", Created: now, EventName: name, Identifier: identifier, Payload: payload, Timestamp: at, Customer: customer, Value: value}
	c.s.MeterEvents[key] = v
	return v, nil
}

func cut(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return "", false
}

// summaries adds a customer's events up, by the day or whole.
func (c *request) summaries() (any, error) {
	meter := c.s.Meters[c.r.PathValue("id")]
	if meter == nil {
		return nil, noSuch("meter", c.r.PathValue("id"), "id")
	}
	if _, err := c.customer("customer"); err != nil {
		return nil, err
	}
	start, err := c.int("start_time")
	if err != nil {
		return nil, err
	}
	end, err := c.int("end_time")
	if err != nil {
		return nil, err
	}
	window, err := c.one("value_grouping_window", "", "day", "hour")
	if err != nil {
		return nil, err
	}
	step := map[string]int64{"": end - start, "day": 86400, "hour": 3600}[window]
	if start >= end || start%60 != 0 || end%60 != 0 || step != end-start && (start%step != 0 || end%step != 0) {
		return nil, invalid("start_time", "start_time and end_time must be aligned with the minute, and with the window of the values.")
	}
	type summary struct {
		ID        string `json:"id"`
		Object    string `json:"object"`
		Value     int64  `json:"aggregated_value"`
		StartTime int64  `json:"start_time"`
		EndTime   int64  `json:"end_time"`
		Livemode  bool   `json:"livemode"`
		Meter     string `json:"meter"`
	}
	var all []summary
	for at := end - step; at >= start; at -= step {
		s := summary{ID: "mtrusg_" + strconv.FormatInt(at, 10), Object: "billing.meter_event_summary", StartTime: at, EndTime: at + step, Meter: meter.ID}
		for _, e := range c.s.MeterEvents {
			if e.EventName == meter.EventName && e.Customer == c.text("customer") && e.Timestamp >= at && e.Timestamp < at+step {
				s.Value += e.Value
			}
		}
		c.s.Order[s.ID] = at
		all = append(all, s)
	}
	return list(c, func(s summary) string { return s.ID }, all)
}
