package tests

import (
	_ "github.com/coditect/platform/functions/all"
	_ "github.com/coditect/platform/router"
)
