package blob

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/coditect/platform/shared/config"
)

// Config says where objects are kept.
type Config struct {
	// URL names the bucket: gs://bucket, s3://bucket?region=…, or
	// file:///folder on a laptop.
	URL string `env:"OBJECTS_URL,required"`
	// PublicURL is where the links to a file:// bucket lead: whoever serves
	// shared/standin/objects. The other stores have addresses of their own.
	PublicURL string `env:"OBJECTS_PUBLIC_URL"`
	// SigningKey signs the links to a file:// bucket.
	SigningKey config.Secret `env:"OBJECTS_SIGNING_KEY"`
	// Timeout bounds one small call (stat, sign, delete). Streams are bounded
	// by their context alone.
	Timeout time.Duration `env:"OBJECTS_TIMEOUT" envDefault:"10s"`
}

// Validate refuses a bucket that this build cannot open, and a folder whose
// links nobody could make.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || drivers[u.Scheme] == nil {
		return config.Invalid("OBJECTS_URL", "must be one of "+strings.Join(schemes(), ", "))
	}
	if u.Scheme != schemeFile {
		if u.Host == "" {
			return config.Invalid("OBJECTS_URL", "must name a bucket")
		}
		return nil
	}
	var faults []error
	if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		faults = append(faults, config.Invalid("OBJECTS_URL", "must name an absolute folder, as in file:///var/objects"))
	}
	if p, err := url.Parse(c.PublicURL); err != nil || (p.Scheme != "http" && p.Scheme != "https") || p.Host == "" {
		faults = append(faults, config.Invalid("OBJECTS_PUBLIC_URL", "must be the address that serves the files of a file:// bucket"))
	}
	if len(c.SigningKey.Reveal()) < minKey {
		faults = append(faults, config.Invalid("OBJECTS_SIGNING_KEY", "must be at least 32 characters for a file:// bucket"))
	}
	return errors.Join(faults...)
}

// minKey is the least length of the signing key, in bytes.
const minKey = 32
