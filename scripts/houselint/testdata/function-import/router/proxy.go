package router

import (
	_ "github.com/coditect/platform/functions/all" // want function-import
	_ "github.com/coditect/platform/router/table"
)
