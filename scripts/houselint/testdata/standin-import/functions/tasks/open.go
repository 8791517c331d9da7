package tasks

import _ "github.com/coditect/platform/shared/standin/secretmanager" // want standin-import
