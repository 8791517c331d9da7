package users

import (
	"net/url"
	"time"
	_ "time/tzdata" // the functions' base image may have no time zone database

	"github.com/coditect/platform/shared/ids"
)

// Profile is a person as they see themselves.
type Profile struct {
	ID            ids.ID     `json:"id" format:"uuid" doc:"The person's id."`
	Email         string     `json:"email" format:"email" doc:"Their address."`
	EmailVerified bool       `json:"email_verified" doc:"Whether they have shown that the address is theirs."`
	FirstName     string     `json:"first_name" maxLength:"150" doc:"Their first name."`
	LastName      string     `json:"last_name" maxLength:"150" doc:"Their last name."`
	AvatarURL     string     `json:"avatar_url" maxLength:"2048" doc:"A picture of them; empty without one."`
	Bio           string     `json:"bio" maxLength:"5000" doc:"About them."`
	Timezone      string     `json:"timezone" maxLength:"64" doc:"Where their days begin: a name of the IANA time zone database."`
	Role          *string    `json:"role" doc:"Their role in the present organization; null without one."`
	Permissions   []string   `json:"permissions" nullable:"false" doc:"What they may do in the present organization."`
	TenantID      *ids.ID    `json:"tenant_id" format:"uuid" doc:"The present organization; null without one."`
	DateJoined    time.Time  `json:"date_joined" doc:"When they registered."`
	LastLogin     *time.Time `json:"last_login" doc:"When they last signed in; null before they ever did."`
}

// row is a profile as the database has it.
type row struct {
	Profile
	version int64
}

// values are the fields that a change is recorded of.
func (p Profile) values() map[string]any {
	return map[string]any{"first_name": p.FirstName, "last_name": p.LastName, "avatar_url": p.AvatarURL, "bio": p.Bio, "timezone": p.Timezone}
}

// avatarFault says what is wrong with the address of a picture. Browsers will
// load it, so it is a plain web address or nothing.
func avatarFault(s string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "must be a http or https address"
	}
	return ""
}

// zoneFault says what is wrong with a time zone.
func zoneFault(s string) string {
	if s == "" || s == "Local" {
		return "must be a name of the IANA time zone database, such as Europe/Berlin"
	}
	if _, err := time.LoadLocation(s); err != nil {
		return "must be a name of the IANA time zone database, such as Europe/Berlin"
	}
	return ""
}

//go:fix inline
var example = Profile{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", EmailVerified: true,
	FirstName: "Ada", LastName: "Lovelace", Bio: "Analyst.", Timezone: "Europe/London", Role: new("owner"),
	Permissions: []string{"projects:read", "projects:write"}, TenantID: new(ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073980")),
	DateJoined: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), LastLogin: new(time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)),
}
