package users

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/digest"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/queue"
)

var replaceMeSpec = api.Spec{
	ID: "replace-me", Method: http.MethodPut, Path: "/api/v1/users/me/", Tag: "Users",
	Summary:         "Replace one's own profile",
	Description:     "What is left out becomes its default. The address has an operation of its own.",
	Permission:      identity.SignedIn,
	RequestExample:  replaceBody{FirstName: "Ada", LastName: "Lovelace", Timezone: "Europe/London"},
	ResponseExample: example,
}

var updateMeSpec = api.Spec{
	ID: "update-me", Method: http.MethodPatch, Path: "/api/v1/users/me/", Tag: "Users",
	Summary:         "Change one's own profile",
	Description:     "A JSON merge patch (RFC 7396). The address has an operation of its own.",
	Permission:      identity.SignedIn,
	RequestExample:  map[string]any{"timezone": "Europe/London"},
	ResponseExample: example,
}

type replaceBody struct {
	FirstName string `json:"first_name" minLength:"1" maxLength:"150" doc:"First name."`
	LastName  string `json:"last_name" minLength:"1" maxLength:"150" doc:"Last name."`
	AvatarURL string `json:"avatar_url,omitempty" maxLength:"2048" doc:"A picture's web address."`
	Bio       string `json:"bio,omitempty" maxLength:"5000" doc:"About oneself."`
	Timezone  string `json:"timezone,omitempty" maxLength:"64" doc:"A name of the IANA time zone database; UTC when left out."`
}

type replaceInput struct {
	api.IfMatch
	Body replaceBody
}

type updateBody struct {
	FirstName api.Optional[string] `json:"first_name,omitzero" minLength:"1" maxLength:"150" doc:"First name."`
	LastName  api.Optional[string] `json:"last_name,omitzero" minLength:"1" maxLength:"150" doc:"Last name."`
	AvatarURL api.Optional[string] `json:"avatar_url,omitzero" maxLength:"2048" doc:"A picture's web address; empty for none."`
	Bio       api.Optional[string] `json:"bio,omitzero" maxLength:"5000" doc:"About oneself."`
	Timezone  api.Optional[string] `json:"timezone,omitzero" maxLength:"64" doc:"A name of the IANA time zone database."`
}

type updateInput struct {
	api.IfMatch
	Body updateBody `contentType:"application/merge-patch+json"`
}

func (s *service) replaceMe(ctx context.Context, by identity.Caller, in *replaceInput) (*api.Item[Profile], error) {
	return s.change(ctx, by, in.IfMatch, func(p *Profile) {
		b := in.Body
		p.FirstName, p.LastName, p.AvatarURL, p.Bio, p.Timezone = b.FirstName, b.LastName, b.AvatarURL, b.Bio, b.Timezone
		if p.Timezone == "" {
			p.Timezone = "UTC"
		}
	})
}

func (s *service) updateMe(ctx context.Context, by identity.Caller, in *updateInput) (*api.Item[Profile], error) {
	return s.change(ctx, by, in.IfMatch, func(p *Profile) {
		p.FirstName = in.Body.FirstName.Or(p.FirstName)
		p.LastName = in.Body.LastName.Or(p.LastName)
		p.AvatarURL = in.Body.AvatarURL.Or(p.AvatarURL)
		p.Bio = in.Body.Bio.Or(p.Bio)
		p.Timezone = in.Body.Timezone.Or(p.Timezone)
	})
}

// change reads the profile under a lock, lets edit change it, and writes it.
// Memberships repeat the name: a message refreshes them, since each lies with
// its own tenant.
func (s *service) change(ctx context.Context, by identity.Caller, match api.IfMatch, edit func(*Profile)) (*api.Item[Profile], error) {
	var after row
	err := db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		before, err := getProfile(tx, "for update of p").Await(ctx)
		if err != nil {
			return gone(err)
		}
		after = before
		edit(&after.Profile)
		if err := faults(after.Profile); err != nil {
			return err
		}
		if err := match.Check(before.version); err != nil {
			return err
		}
		diff := activity.Diff(before.values(), after.values())
		if len(diff) == 0 {
			tx.Unchanged()
			return nil
		}
		version := updateProfile(tx, after.Profile)
		if after.Timezone != before.Timezone {
			moveDigest(tx, digest.Next(time.Now(), after.Timezone))
		}
		tx.RecordUser("profile_updated", diff)
		tx.EnqueueUser(queue.ProfileChanged.Message(by.UserID.String(), queue.Person{UserID: by.UserID}))
		tx.OnCommit(func() error {
			after.version, err = version.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.item(ctx, by, after)
}

func faults(p Profile) error {
	var f []errs.Field
	if m := avatarFault(p.AvatarURL); m != "" {
		f = append(f, errs.Field{Location: "body.avatar_url", Message: m})
	}
	if m := zoneFault(p.Timezone); m != "" {
		f = append(f, errs.Field{Location: "body.timezone", Message: m})
	}
	return errs.InvalidFields(f...)
}
