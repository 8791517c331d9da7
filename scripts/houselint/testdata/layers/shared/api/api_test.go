package api_test

import (
	_ "github.com/coditect/platform/functions/tasks" // want layers
	_ "github.com/coditect/platform/shared/dbtest"
)
