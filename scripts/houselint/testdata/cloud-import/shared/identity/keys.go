package identity

import _ "google.golang.org/api/idtoken" // want cloud-import
