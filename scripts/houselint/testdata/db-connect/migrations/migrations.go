package migrations

import "database/sql"

var _ = sql.Open
