package tasks

import (
	_ "cloud.google.com/go/storage" // want cloud-import
	_ "github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	_ "github.com/GoogleCloudPlatform/functions-framework-go/functions"
	_ "github.com/aws/aws-lambda-go/lambda" // want cloud-import
)
