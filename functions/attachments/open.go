package attachments

import (
	"context"
	"errors"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/serve"
)

// largest is what the stores take in one request, in bytes: S3 5 GiB
// (docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html), Google
// Cloud Storage more.
const largest = 5 << 30

// settings is what this function is told beyond what all are.
type settings struct {
	Objects blob.Config
	// MaxSize bounds one file, in bytes.
	MaxSize int64 `env:"ATTACHMENTS_MAX_BYTES" envDefault:"5368709120"`
}

// Validate refuses a bound that no store could hold to.
func (s settings) Validate() error {
	if s.MaxSize < 1 || s.MaxSize > largest {
		return config.Invalid("ATTACHMENTS_MAX_BYTES", "must be from 1 to 5368709120, what the stores take in one request")
	}
	return nil
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	cfg, err := config.Load[settings](lookup)
	if err != nil {
		return nil, err
	}
	objects, err := blob.Open(cfg.Objects)
	if err != nil {
		return nil, err
	}
	base, err := function.Open(lookup, "attachments")
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, objects: objects, maxSize: cfg.MaxSize}
	app := base.App(s.operations()...)
	closeBase := app.Close
	app.Close = func(ctx context.Context) error { return errors.Join(closeBase(ctx), objects.Close()) }
	return app, nil
}
