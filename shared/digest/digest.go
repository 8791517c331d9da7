// Package digest says when a person's daily summary is due: at eight in the
// morning where they are, once for each of their days. It is the one place that
// turns days of people into instants.
//
// The rule, for every zone and every change of its clock: the summary of a day
// is due at the first instant of that day at which the clock shows eight or
// later.
//
//   - The clock shows eight twice: the first time counts.
//   - It never shows eight, as it was put forward over it: the instant after
//     the change counts.
//   - The day does not exist, as Samoa's 30 December 2011: it has no summary.
//
// The names of days are those of the person's calendar, so that one who moves
// between zones has one summary for each date, wherever it finds them.
package digest

import (
	"time"
	_ "time/tzdata" // a base image may have no time zone database

	"github.com/google/uuid"

	"github.com/coditect/platform/shared/ids"
)

// Hour is when the summary is due, on the person's clock.
const Hour = 8

// Location is the zone of that name; UTC for a name that is none any more.
func Location(zone string) *time.Location {
	if loc, err := time.LoadLocation(zone); err == nil && zone != "Local" {
		return loc
	}
	return time.UTC
}

// Next is the first instant after t at which a summary is due in the zone.
func Next(t time.Time, zone string) time.Time {
	return next(t, Location(zone), clock{Hour, 0})
}

// Day is the date of the summary that was due last at t or before, in the form
// 2026-11-24.
func Day(t time.Time, zone string) string {
	return day(t, Location(zone), clock{Hour, 0})
}

// clock is what a clock shows.
type clock struct{ hour, minute int }

func next(t time.Time, loc *time.Location, c clock) time.Time {
	// A day earlier than the date at t, as the clock may be put back over
	// midnight.
	for d := date(t.In(loc)).AddDate(0, 0, -1); ; d = d.AddDate(0, 0, 1) {
		if at, ok := due(d, loc, c); ok && at.After(t) {
			return at.UTC()
		}
	}
}

func day(t time.Time, loc *time.Location, c clock) string {
	for d := date(t.In(loc)).AddDate(0, 0, 1); ; d = d.AddDate(0, 0, -1) {
		if at, ok := due(d, loc, c); ok && !at.After(t) {
			return d.Format(time.DateOnly)
		}
	}
}

// date is the calendar day of t, as the midnight of UTC, so that days can be
// counted without a clock being changed among them.
func date(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// due is the first instant of the day d at which the clock shows c or later; it
// reports whether the day has one.
func due(d time.Time, loc *time.Location, c clock) (time.Time, bool) {
	wall := d.Add(time.Duration(c.hour)*time.Hour + time.Duration(c.minute)*time.Minute)
	// The clock differs from UTC by what held before or after any change that
	// is near: no zone changes twice within two days.
	_, before := wall.Add(-26 * time.Hour).In(loc).Zone()
	_, after := wall.Add(26 * time.Hour).In(loc).Zone()
	first := wall.Add(-time.Duration(max(before, after)) * time.Second)
	second := wall.Add(-time.Duration(min(before, after)) * time.Second)
	for _, at := range []time.Time{first, second} {
		if shows(at.In(loc), d, c) {
			return at, true
		}
	}
	// Never shown: the change that jumps over it lies between the two.
	if _, change := first.In(loc).ZoneBounds(); !change.IsZero() && !change.After(second) {
		return change, date(change.In(loc)).Equal(d)
	}
	return time.Time{}, false
}

// shows reports whether the clock at t shows c on the day d.
func shows(t, d time.Time, c clock) bool {
	h, m, s := t.Clock()
	return date(t).Equal(d) && h == c.hour && m == c.minute && s == 0
}

// space is the namespace of the ids of summaries.
var space = ids.Must("b9b4b5a2-6b1e-5d0c-9d53-0c1f6a4f7e21")

// ID is the id of the message for one person's summary of one day in one
// organization: the same whoever makes it, and however often (RFC 9562, version
// 5).
func ID(tenant, user ids.ID, day string) ids.ID {
	name := make([]byte, 0, 2*len(tenant)+len(day))
	name = append(name, tenant[:]...)
	name = append(name, user[:]...)
	name = append(name, day...)
	return uuid.NewSHA1(space, name)
}
