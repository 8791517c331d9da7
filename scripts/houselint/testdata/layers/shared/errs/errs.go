package errs

import (
	_ "github.com/coditect/platform/migrations" // want layers
	_ "github.com/coditect/platform/router"     // want layers
	_ "github.com/coditect/platform/shared/db"  // want layers
	_ "github.com/coditect/platform/shared/ids" // want layers
)
