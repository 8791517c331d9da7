package api

import (
	_ "github.com/coditect/platform/shared/errs"
	_ "github.com/coditect/platform/shared/identity"
)
