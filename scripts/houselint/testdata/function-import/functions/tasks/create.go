package tasks

import (
	_ "github.com/coditect/platform/functions/all"      // want function-import
	_ "github.com/coditect/platform/functions/projects" // want function-import
	_ "github.com/coditect/platform/router"             // want function-import
	_ "github.com/coditect/platform/shared/errs"
)
