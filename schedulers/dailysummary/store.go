package dailysummary

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/telemetry"
)

// person is somebody whose summary is due.
type person struct {
	id   ids.ID
	zone string
	due  time.Time
	// wanted is false of those who gave summaries, or their account, up.
	wanted bool
}

// place is how far a run has come among those who are due.
type place struct {
	due time.Time
	id  ids.ID
}

type message struct {
	id, user ids.ID
	day      string
}

// move sets the next due time; a zero one is none.
type move struct{ from, to time.Time }

// due reads the next people after a place, in the order of their time.
func (s *service) due(ctx context.Context, now time.Time, after place) ([]person, error) {
	var found *db.Rows[person]
	err := db.System(ctx, s.db, "find whose daily summary is due", func(tx *db.Tx) error {
		found = db.Many(tx, func(r pgx.CollectableRow) (p person, err error) {
			err = r.Scan(&p.id, &p.zone, &p.due, &p.wanted)
			return p, err
		}, `select p.user_id, p.timezone, p.next_digest_at, p.digest_enabled and u.is_active and u.deleted_at is null
			  from app.profiles p join app.users u on u.user_id = p.user_id
			 where p.next_digest_at <= $1 and p.next_digest_at >= $2 and (p.next_digest_at, p.user_id) > ($2, $3)
			 order by p.next_digest_at, p.user_id limit $4`, now, after.due, after.id, s.batch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

type side struct{ user, tenant ids.ID }

// organizations finds the active organizations of those who want a summary.
func (s *service) organizations(ctx context.Context, people []person) (map[ids.ID][]person, error) {
	byID := map[ids.ID]person{}
	for _, p := range people {
		if p.wanted {
			byID[p.id] = p
		}
	}
	if len(byID) == 0 {
		return nil, nil
	}
	var active []ids.ID
	var sides []side
	err := db.System(ctx, s.db, "find the organizations of those whose daily summary is due", func(tx *db.Tx) error {
		found, err := db.Many(tx, func(r pgx.CollectableRow) (x side, err error) {
			err = r.Scan(&x.user, &x.tenant)
			return x, err
		}, `select user_id, tenant_id from app.user_tenants where user_id = any($1::uuid[]) and left_at is null`, texts(keys(byID))).Await(ctx)
		if err != nil || len(found) == 0 {
			return err
		}
		sides = found
		tenants := map[ids.ID]bool{}
		for _, x := range found {
			tenants[x.tenant] = true
		}
		active, err = db.Many(tx, pgx.RowTo[ids.ID], `select tenant_id from app.organizations where tenant_id = any($1::uuid[]) and status = 'active'`, texts(keys(tenants))).Await(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[ids.ID][]person{}
	for _, tenant := range active {
		out[tenant] = nil
	}
	for _, x := range sides {
		if _, ok := out[x.tenant]; ok {
			out[x.tenant] = append(out[x.tenant], byID[x.user])
		}
	}
	return out, nil
}

func keys[V any](m map[ids.ID]V) []ids.ID {
	out := make([]ids.ID, 0, len(m))
	for id := range m {
		out = append(out, id)
	}
	return out
}

func texts(all []ids.ID) []string {
	out := make([]string, len(all))
	for i, id := range all {
		out[i] = id.String()
	}
	return out
}

// leave puts messages into one organization's outbox and counts those that were
// not there before. It runs as the role that sees this organization alone.
func (s *service) leave(ctx context.Context, tenant ids.ID, messages []message) (int, error) {
	var values []string
	args := []any{tenant, queue.MailDigest.Kind, telemetry.Traceparent(ctx)}
	// In one order, so that two runs cannot wait for one another.
	slices.SortFunc(messages, func(a, b message) int { return strings.Compare(a.id.String(), b.id.String()) })
	for _, m := range messages {
		payload, err := json.Marshal(queue.Digest{UserID: m.user, Date: m.day})
		if err != nil {
			return 0, fmt.Errorf("payload: %w", err)
		}
		args = append(args, m.id, string(payload))
		values = append(values, `($1, $`+strconv.Itoa(len(args)-1)+`::uuid, $2, $`+strconv.Itoa(len(args))+`::jsonb, $3)`)
	}
	var made *db.Tag
	err := db.Background(ctx, s.db, tenant, func(tx *db.Tx) error {
		made = db.Exec(tx, `insert into app.outbox (tenant_id, id, kind, payload, trace) values `+strings.Join(values, ", ")+
			` on conflict (tenant_id, id) do nothing`, args...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := int(made.Affected())
	outbox.Committed(ctx, n)
	return n, nil
}

// move gives people their next due time. Whose time was changed meanwhile, by
// moving to another zone, keeps what that set.
func (s *service) move(ctx context.Context, moves map[move][]ids.ID) (int, error) {
	if len(moves) == 0 {
		return 0, nil
	}
	var done []*db.Tag
	err := db.System(ctx, s.db, "set when the next daily summaries are due", func(tx *db.Tx) error {
		done = nil
		for m, people := range moves {
			var to any
			if !m.to.IsZero() {
				to = m.to
			}
			done = append(done, db.Exec(tx, `update app.profiles set next_digest_at = $1 where user_id = any($2::uuid[]) and next_digest_at = $3`, to, texts(people), m.from))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, tag := range done {
		n += int(tag.Affected())
	}
	return n, nil
}
