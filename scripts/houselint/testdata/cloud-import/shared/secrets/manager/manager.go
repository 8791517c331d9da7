package manager

import _ "cloud.google.com/go/secretmanager/apiv1"
