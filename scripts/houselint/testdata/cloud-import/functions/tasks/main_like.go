package tasks

import "github.com/GoogleCloudPlatform/functions-framework-go/funcframework" // want cloud-import

var _ = funcframework.Start
