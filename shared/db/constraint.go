package db

import (
	"errors"
	"regexp"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// Constraint is the name of the constraint that err says was broken, without
// the shard suffix of Citus; "" when err is about something else. A missing
// value of a column that must have one is named "table_column_not_null".
func Constraint(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code[:2] != "23" {
		return ""
	}
	name, table, column := pg.ConstraintName, pg.TableName, pg.ColumnName
	if name == "" && column == "" {
		name, table, column = named(pg)
	}
	if name == "" && column != "" {
		return trimShard(table) + "_" + column + "_not_null"
	}
	return trimShard(name)
}

// forwarded finds the names in the messages of PostgreSQL. The coordinator of
// Citus passes on the code and the text of a worker's error, but none of the
// fields that name things. They are compiled when the first is wanted.
var forwarded = sync.OnceValue(func() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"23502": regexp.MustCompile(`^null value in column "(?P<column>[^"]+)" of relation "(?P<table>[^"]+)"`),
		"23503": regexp.MustCompile(` violates foreign key constraint "(?P<name>[^"]+)"`),
		"23505": regexp.MustCompile(` violates unique constraint "(?P<name>[^"]+)"`),
		"23514": regexp.MustCompile(`^guard: (?P<name>\S+)$| violates check constraint "(?P<name>[^"]+)"`),
	}
})

func named(pg *pgconn.PgError) (name, table, column string) {
	re := forwarded()[pg.Code]
	if re == nil {
		return "", "", ""
	}
	match := re.FindStringSubmatch(pg.Message)
	for i, group := range re.SubexpNames() {
		if i >= len(match) || match[i] == "" {
			continue
		}
		switch group {
		case "name":
			name = match[i]
		case "table":
			table = match[i]
		case "column":
			column = match[i]
		}
	}
	return name, table, column
}

// trimShard removes the numeric suffix of a shard's name. Names of ours never
// end in an underscore and digits.
func trimShard(name string) string {
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	if i == len(name) || i == 0 || name[i-1] != '_' {
		return name
	}
	return name[:i-1]
}
