package mailbox

import _ "github.com/coditect/platform/shared/standin/clock"
