package auth

import (
	"time"

	"github.com/coditect/platform/shared/errs"
)

// The kinds of links that this function sends: email_tokens.kind.
const (
	linkVerify = "verify_email"
	linkReset  = "password_reset"
	linkChange = "change_email" // functions/users
)

// How long links work.
const (
	verifyLife = 72 * time.Hour
	resetLife  = time.Hour
)

// errLink is the one refusal of a link: never made, of another kind, expired,
// used, or void because something else made it so.
var errLink = &errs.Error{
	Kind: errs.Invalid, Code: "link_invalid", Detail: "The link is not valid, or not any more. Ask for another.",
	Fields: []errs.Field{{Location: "body.token", Message: "is not valid, or not any more"}},
}

const exampleLink = "_AZLwwXt-fMOYxNwMDAc5jw.AZLwwXt-fMOYxNwMDAc5kA.tR2cS0m1Yw9vQ3xkq8h5bG7nPz4uJ6eLdFaKiXoVrTs"
