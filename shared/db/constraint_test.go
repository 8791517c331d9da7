package db

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestConstraint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"PostgreSQL names it":       {&pgconn.PgError{Code: "23505", ConstraintName: "email_claims_pkey"}, "email_claims_pkey"},
		"a shard's":                 {&pgconn.PgError{Code: "23505", ConstraintName: "email_claims_pkey_102104"}, "email_claims_pkey"},
		"a missing value":           {&pgconn.PgError{Code: "23502", TableName: "tasks", ColumnName: "title"}, "tasks_title_not_null"},
		"Citus, unique":             {&pgconn.PgError{Code: "23505", Message: `duplicate key value violates unique constraint "email_claims_pkey_102104"`}, "email_claims_pkey"},
		"Citus, foreign key":        {&pgconn.PgError{Code: "23503", Message: `insert or update on table "tasks_102160" violates foreign key constraint "tasks_project_fkey_102160"`}, "tasks_project_fkey"},
		"Citus, foreign key, other": {&pgconn.PgError{Code: "23503", Message: `update or delete on table "users_102100" violates foreign key constraint "sessions_user_fkey_102110" on table "sessions_102110"`}, "sessions_user_fkey"},
		"Citus, check":              {&pgconn.PgError{Code: "23514", Message: `new row for relation "tasks_102160" violates check constraint "tasks_title_length"`}, "tasks_title_length"},
		"Citus, guard":              {&pgconn.PgError{Code: "23514", Message: `guard: task_project_archived`}, "task_project_archived"},
		"Citus, a missing value":    {&pgconn.PgError{Code: "23502", Message: `null value in column "title" of relation "tasks_102160" violates not-null constraint`}, "tasks_title_not_null"},
		"a value that says guard":   {&pgconn.PgError{Code: "23514", Message: `guard: not a name`}, ""},
		"an exclusion":              {&pgconn.PgError{Code: "23P01", Message: `conflicting key value violates exclusion constraint "x"`}, ""},
		"wrapped":                   {fmt.Errorf("db: %w", &pgconn.PgError{Code: "23505", ConstraintName: "a_key"}), "a_key"},
		"another class":             {&pgconn.PgError{Code: "42501", ConstraintName: "a_key"}, ""},
		"not the server's":          {errors.New("x"), ""},
	} {
		if got := Constraint(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
