// Package dailysummary is the function that has every person's daily summary
// mailed at eight in the morning where they are: one mail for each of their
// organizations and days. It runs every quarter of an hour and looks for whom
// it is due (profiles.next_digest_at, an index of its own); what a day is, in
// which zone and on which clock, is the business of shared/digest.
//
// A person's organizations and their profile lie on different shards. So the
// messages are left first, with ids that are the same for the same person,
// organization and day; then the profile is moved on to its next day. A run
// that dies between the two is repeated and leaves nothing twice; the other way
// round it would leave out a day.
//
// Whether there is anything to tell is the mailer's to find out, when it looks
// at the organization. A run that comes days late leaves one summary, of the
// last day, and not one for each.
package dailysummary

import (
	"context"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "dailysummary"

type service struct {
	db *db.DB
	// batch is how many people are taken at a time, and writers how many
	// organizations are written to at a time.
	batch, writers int
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup, 500) }

func open(lookup config.Lookup, batch int, opts ...schedule.Option) (*serve.App, error) {
	base, err := schedule.Open(lookup, Name, opts...)
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, batch: batch, writers: 8}
	return base.App(s.run), nil
}
