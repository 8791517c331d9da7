package tasks

import _ "github.com/coditect/platform/shared/db"
