//go:build !aws

package usagereport

import (
	_ "github.com/GoogleCloudPlatform/functions-framework-go/funcframework" // the buildpack's main starts it from our vendored copy
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/coditect/platform/shared/serve"
)

// Google's buildpack finds the function by this. What is built for AWS serves
// Open itself, and is a megabyte smaller without the framework.
func init() { functions.HTTP("Usagereport", serve.Lazy(Open)) }
