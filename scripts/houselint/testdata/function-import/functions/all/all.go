// Package all may import every function: that is what it is for.
package all

import (
	_ "github.com/coditect/platform/functions/projects"
	_ "github.com/coditect/platform/functions/tasks"
)
