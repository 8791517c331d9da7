// Package store is not the root package, which alone registers.
package store

import _ "github.com/GoogleCloudPlatform/functions-framework-go/functions" // want cloud-import
