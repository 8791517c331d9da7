package manager

import _ "github.com/coditect/platform/shared/secrets"
