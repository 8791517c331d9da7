package local

import _ "github.com/coditect/platform/shared/standin/secretmanager"
