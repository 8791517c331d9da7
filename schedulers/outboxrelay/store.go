package outboxrelay

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// box is one of the two outboxes. Its names are ours.
type box struct {
	table, column string
	of            queue.Owner
}

var boxes = []box{
	{"app.outbox", "tenant_id", queue.ForTenant},
	{"app.user_outbox", "user_id", queue.ForPerson},
}

// store is every statement of the relay.
type store struct{ db *db.DB }

// found is what a look into an outbox tells.
type found struct {
	owners []ids.ID
	// full tells that there may be owners after the last one.
	full bool
	// busy counts, by kind, what is under way of all owners.
	busy map[string]int
}

// pageOfDue is how many due rows one look reads. One owner with more than that
// costs one look, as the next begins after it.
const pageOfDue = 500

// look finds owners with messages that are due, or soon are, and that come after
// the given one. Soon due is what was handed over before and comes back at a time
// of its own, as after an outage; what waits for another of its key is not.
func (s store) look(ctx context.Context, b box, after ids.ID, ahead time.Duration) (found, error) {
	out := found{busy: map[string]int{}}
	err := db.System(ctx, s.db, "find due messages", func(tx *db.Tx) error {
		due := db.Many(tx, pgx.RowTo[ids.ID], `select `+b.column+` from `+b.table+`
			where done_at is null and dead_at is null and `+b.column+` > $1
			  and available_at <= now() + $3::interval and (available_at <= now() or handovers > 0 and lease_until is null)
			order by `+b.column+` limit $2`, after, pageOfDue, ahead)
		type count struct {
			Kind string
			N    int
		}
		busy := db.Many(tx, pgx.RowToStructByPos[count], `select kind, count(*) from `+b.table+`
			where done_at is null and dead_at is null and lease_until > now() group by kind`)
		tx.OnCommit(func() error {
			rows, err := due.Value()
			if err != nil {
				return err
			}
			for i, id := range rows {
				if i == 0 || id != rows[i-1] {
					out.owners = append(out.owners, id)
				}
			}
			out.full = len(rows) == pageOfDue
			counts, err := busy.Value()
			for _, c := range counts {
				out.busy[c.Kind] = c.N
			}
			return err
		})
		return nil
	})
	return out, err
}

type claimed struct {
	ID        ids.ID
	Kind      string
	Key       string
	Payload   string
	Trace     string
	CreatedAt time.Time
	Handovers int
	LastError string
	Due       time.Time
}

// claim takes an owner's due messages for a lease: of each kind, as many as its
// window has room for, the ones that are due longest first, and of those for a
// queue the ones that soon are. Of those with one key only the first goes; the
// others are looked at again when it is done, or after a while. Rows that another relay is looking at are skipped: the
// statement touches one owner, so that on Citus it is one shard's, where that
// is possible. Times are reckoned where rows are picked: in an update Citus takes
// no stable function of a column.
func (s store) claim(ctx context.Context, b box, owner ids.ID, w share, lease, parked time.Duration) ([]queue.Handover, error) {
	var rows []claimed
	err := db.System(ctx, s.db, "claim due messages", func(tx *db.Tx) error {
		// What a crash of the database makes of a claim that was not on its disk
		// yet is a message that is handed over again. Nobody waits for the disk.
		db.Exec(tx, `set local synchronous_commit = off`)
		got := db.Many(tx, pgx.RowToStructByPos[claimed], `with kinds as (
			  select k.kind, k.room, k.win, k.ahead from unnest($2::text[], $3::int[], $4::int[], $7::int[]) as k(kind, room, win, ahead)
			), busy as (
			  select o.kind, count(*) as n from `+b.table+` o
			   where o.`+b.column+` = $1 and o.done_at is null and o.dead_at is null and o.lease_until > now() group by o.kind
			), picked as (
			  select c.id, c.waits, c.due, c.leased, c.parked from kinds k left join busy u on u.kind = k.kind
			   cross join lateral (
			     select o.id, o.available_at as due, greatest(o.available_at, now()) + $5::interval as leased, now() + $6::interval as parked, o.key <> '' and exists (
			              select 1 from `+b.table+` e where e.`+b.column+` = $1 and e.key = o.key and e.key <> ''
			                 and e.done_at is null and e.dead_at is null and (e.created_at, e.id) < (o.created_at, o.id)) as waits
			       from `+b.table+` o
			      where o.`+b.column+` = $1 and o.kind = k.kind and o.done_at is null and o.dead_at is null
			        and o.available_at <= now() + k.ahead * interval '1 millisecond'
			        and (o.available_at <= now() or o.handovers > 0 and o.lease_until is null)
			      order by o.available_at, o.id
			      limit greatest(least(k.room, k.win - coalesce(u.n, 0)), 0)
			        for update skip locked) c
			)
			update `+b.table+` o
			   set available_at = case when p.waits then p.parked else p.leased end,
			       lease_until = case when p.waits then null else p.leased end,
			       handovers = o.handovers + case when p.waits then 0 else 1 end
			  from picked p where o.`+b.column+` = $1 and o.id = p.id
			returning o.id, o.kind, o.key, o.payload::text, o.trace, o.created_at, case when p.waits then 0 else o.handovers end, coalesce(o.last_error, ''), p.due`,
			owner, w.kinds, w.rooms, w.windows, lease, parked, w.ahead)
		tx.OnCommit(func() (err error) {
			rows, err = got.Value()
			return err
		})
		return nil
	})
	out := make([]queue.Handover, 0, len(rows))
	for _, r := range rows {
		if r.Handovers == 0 {
			continue // it waits for another of its key
		}
		e := queue.Envelope{
			Version: queue.Version, Kind: r.Kind, ID: r.ID, Key: r.Key, Trace: r.Trace,
			CreatedAt: r.CreatedAt.UTC(), Payload: json.RawMessage(r.Payload),
		}
		if b.of == queue.ForPerson {
			e.UserID = owner
		} else {
			e.TenantID = owner
		}
		m := queue.Handover{Envelope: e, Number: r.Handovers, Trouble: r.LastError}
		if r.Due.After(time.Now()) {
			m.NotBefore = r.Due.UTC()
		}
		out = append(out, m)
	}
	return out, err
}

// release gives back what could not be handed over. It is nobody's until the
// pause is over, and the lease says so.
func (s store) release(ctx context.Context, b box, owner ids.ID, messages []ids.ID, reason string, pause time.Duration) error {
	texts := make([]string, len(messages))
	for i, id := range messages {
		texts[i] = id.String()
	}
	return db.System(ctx, s.db, "release messages", func(tx *db.Tx) error {
		db.Exec(tx, `update `+b.table+` set available_at = now() + $4::interval, lease_until = now() + $4::interval, last_error = left($3, 2000)
			where `+b.column+` = $1 and id = any($2::uuid[]) and done_at is null and dead_at is null`, owner, texts, reason, pause)
		return nil
	})
}

// giveUp makes a claimed message a dead letter, and lets the next one of its
// key go.
func (s store) giveUp(ctx context.Context, e queue.Envelope, reason string) error {
	_, err := db.Fail(ctx, s.db, db.Receipt{TenantID: e.TenantID, UserID: e.UserID, MessageID: e.ID, Key: e.Key, Consumer: Name}, db.Outcome{Reason: reason, Dead: true})
	return err
}

// underway reports whether a message is with a queue or a consumer, or comes
// back within a while.
func (s store) underway(ctx context.Context, within time.Duration) (bool, error) {
	any := false
	err := db.System(ctx, s.db, "look for work under way", func(tx *db.Tx) error {
		for _, b := range boxes {
			open := `select 1 from ` + b.table + ` where done_at is null and dead_at is null and `
			for _, row := range []*db.Row[int]{
				db.One(tx, pgx.RowTo[int], open+`lease_until > now() limit 1`),
				db.One(tx, pgx.RowTo[int], open+`handovers > 0 and lease_until is null and available_at <= now() + $1::interval limit 1`, within),
			} {
				tx.OnCommit(func() error {
					_, there := row.Found()
					any = any || there
					return nil
				})
			}
		}
		return nil
	})
	return any, err
}
