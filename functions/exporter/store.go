package exporter

import (
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
)

// fetch is how many rows are asked for at a time. They are written as they
// arrive: it does not bound memory, but how often progress is looked at.
const fetch = 1000

// countRows counts what is many, table by table: Citus takes no query that
// adds several up.
func countRows(tx *db.Tx) []*db.Row[int64] {
	var counts []*db.Row[int64]
	for _, table := range []string{"tasks", "comments", "attachments", "activity"} {
		counts = append(counts, db.One(tx, pgx.RowTo[int64], `select count(*) from app.`+table+` r where r.tenant_id = $1`, tx.Tenant()))
	}
	return counts
}

// declare opens the cursor that a kind is read from, and gives the moment.
//
// The transaction lasts for as long as writing takes, and holds one connection
// and the cleaning up of old rows (vacuum) for that time. The limits are
// generous for ten million rows and end what hangs.
func declare(tx *db.Tx, k kind, format string, asOf time.Time) *db.Row[time.Time] {
	db.Exec(tx, `set local statement_timeout = '10min'`)
	db.Exec(tx, `set local idle_in_transaction_session_timeout = '2min'`)
	opened := db.One(tx, pgx.RowTo[time.Time], `select clock_timestamp()`)
	db.Exec(tx, `declare exported no scroll cursor for `+k.sql(format), tx.Tenant(), asOf)
	return opened
}

// next gives the values of the next rows to write, as they arrive.
func next(tx *db.Tx, write func(values [][]byte) error) *db.Rows[struct{}] {
	return db.Many(tx, func(r pgx.CollectableRow) (struct{}, error) { return struct{}{}, write(r.RawValues()) },
		`fetch `+strconv.Itoa(fetch)+` from exported`)
}

// sql reads the kind: one JSON text, or one text for each column. $1 is the
// tenant, $2 the moment that decides what belongs to the export.
func (k kind) sql(format string) string {
	list := make([]string, len(k.columns))
	for i, c := range k.columns {
		list[i] = c.sql + ` as ` + c.name
		if format == "csv" {
			list[i] = `(` + c.sql + `)::text`
		}
	}
	rows := `select ` + strings.Join(list, ", ") + ` from ` + k.from + ` order by ` + k.order
	if format == "csv" {
		return rows
	}
	return `select row_to_json(r)::text from (` + rows + `) r`
}
