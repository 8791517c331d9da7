// Command outboxrelay serves the function on its own.
package main

import (
	"github.com/coditect/platform/schedulers/outboxrelay"
	"github.com/coditect/platform/shared/serve/host"
)

func main() { host.Main("Outboxrelay", outboxrelay.Open) }
