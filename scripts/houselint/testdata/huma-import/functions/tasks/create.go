package tasks

import _ "github.com/danielgtaylor/huma/v2" // want huma-import
