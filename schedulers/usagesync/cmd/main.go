// Command usagesync serves the function on its own: under the functions
// framework, or on AWS Lambda.
package main

import (
	"github.com/coditect/platform/schedulers/usagesync"
	"github.com/coditect/platform/shared/serve/host"
)

func main() { host.Main("Usagesync", usagesync.Open) }
