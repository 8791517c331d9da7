package tasks

import _ "github.com/coditect/platform/shared/dbtest" // want testonly-import
