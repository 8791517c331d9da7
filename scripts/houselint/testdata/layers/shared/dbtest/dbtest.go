package dbtest

import (
	_ "github.com/coditect/platform/migrations"
	_ "github.com/coditect/platform/shared/db"
)
