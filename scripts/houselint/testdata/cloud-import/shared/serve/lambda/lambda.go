package lambda

import _ "github.com/aws/aws-lambda-go/events"
