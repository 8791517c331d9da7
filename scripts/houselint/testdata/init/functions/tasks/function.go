package tasks

import "github.com/GoogleCloudPlatform/functions-framework-go/functions"

func init() { functions.HTTP("Tasks", nil) }
