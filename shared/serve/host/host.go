// Package host is the main of every function: it finds out where the process
// runs and serves the function there.
package host

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/serve/gcp"
	"github.com/coditect/platform/shared/serve/lambda"
)

// Main serves the function until the platform ends the process: on AWS Lambda
// when its runtime says so by AWS_LAMBDA_RUNTIME_API, else over HTTP on HOST
// and PORT. name is for messages.
func Main(name string, open serve.Open) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, open, config.Environ); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, open serve.Open, lookup config.Lookup) error {
	instance := serve.New(open, lookup)
	if _, onLambda := lookup("AWS_LAMBDA_RUNTIME_API"); onLambda {
		lambda.Start(ctx, instance)
		return nil
	}
	cfg, err := config.Load[gcp.Config](lookup)
	if err != nil {
		return err
	}
	return gcp.Serve(ctx, cfg, instance)
}
