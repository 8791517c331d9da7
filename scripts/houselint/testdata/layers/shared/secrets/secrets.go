package secrets

import _ "github.com/coditect/platform/shared/secrets/manager" // want layers
