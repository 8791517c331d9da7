package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// ByID is the input of operations on one resource, to be embedded. An id that
// is no UUID is 404, once everything else about the request is in order.
type ByID struct {
	ID ids.ID `path:"id" doc:"The resource's id." example:"0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f"`
}

// IfMatch lets a write depend on the version that the client has seen (RFC 9110
// §13.1.1), to be embedded. Only the version in an ETag is compared, as the
// hash behind it may differ for two readers of one state.
type IfMatch struct {
	Header string `header:"If-Match" doc:"The ETag last seen. The write is refused with 412 when the resource has changed since. Without it the write is taken." example:"\"7.mJ3kq1Xw9c0\""`
}

// NoVersion is a version that no row has: that of a condition nothing meets.
const NoVersion int64 = -1

var errIfMatch = &errs.Error{
	Kind: errs.Malformed, Code: "invalid_if_match", Detail: "If-Match is not an entity tag, a list of them, or *.",
	Fields: []errs.Field{{Location: "header.If-Match", Message: "is not an entity tag, a list of them, or *"}},
}

// ErrPrecondition is the answer to a write whose If-Match names another
// version than the present one.
var ErrPrecondition = errs.New(errs.Precondition, "precondition_failed", "The resource has changed since the version that If-Match names.")

// Version is the one version that the write must meet, for `where version =
// $n`; false when any will do. A condition that no version meets (a weak or a
// foreign tag) is [NoVersion]; a list of several versions is an error here, as
// [IfMatch.Check] takes it.
func (m IfMatch) Version() (version int64, conditional bool, err error) {
	versions, conditional, err := m.versions()
	if err != nil || !conditional {
		return 0, false, err
	}
	version = NoVersion
	for _, v := range versions {
		if version != NoVersion && v != version {
			return 0, false, errIfMatch
		}
		version = v
	}
	return version, true, nil
}

// Check refuses the write with [ErrPrecondition] when it demands another
// version than the present one. Call it in the transaction, on the row that is
// about to change.
func (m IfMatch) Check(present int64) error {
	versions, conditional, err := m.versions()
	if err != nil || !conditional {
		return err
	}
	if slices.Contains(versions, present) {
		return nil
	}
	return ErrPrecondition
}

func (m IfMatch) versions() (versions []int64, conditional bool, err error) {
	header := strings.TrimSpace(m.Header)
	if header == "" || header == "*" {
		return nil, false, nil
	}
	tags, ok := parseTags(header)
	if !ok {
		return nil, false, errIfMatch
	}
	for _, t := range tags {
		v := NoVersion
		// §8.8.3.2: If-Match compares strongly, and a weak tag never matches.
		if number, _, ours := strings.Cut(t.opaque, "."); !t.weak && ours {
			if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 {
				v = n
			}
		}
		versions = append(versions, v)
	}
	return versions, true, nil
}

// Resolve reports a header that cannot be read before the operation runs.
func (m *IfMatch) Resolve(huma.Context) []error {
	if _, _, err := m.versions(); err != nil {
		return []error{err}
	}
	return nil
}

// PageInput is the input of lists, to be embedded.
type PageInput struct {
	Cursor   string `query:"cursor" minLength:"1" maxLength:"128" doc:"Where to read on: taken from next or previous, never made up."`
	PageSize int    `query:"page_size" minimum:"1" maximum:"200" default:"100" doc:"Results on a page."`
	Ordering string `query:"ordering" enum:"created_at,-created_at,updated_at,-updated_at" default:"-created_at" doc:"What the list is sorted by; a leading - means the latest first."`

	position page.Position
}

// Position is the page asked for. It is valid in an operation, where a bad
// cursor has been refused already.
func (p *PageInput) Position() page.Position { return p.position }

// Resolve reads the cursor, which only the list it was made for can.
func (p *PageInput) Resolve(hc huma.Context) []error {
	c := callOf(hc.Context())
	order, err := page.ParseOrder(p.Ordering)
	if err != nil || c == nil {
		return nil // the enum has reported it; without a call the operation refuses itself
	}
	p.position = page.First(order, p.PageSize)
	if p.Cursor == "" {
		return nil
	}
	at, err := c.decodeCursor(p.Cursor)
	if err == nil && at.Order != order {
		err = page.ErrCursor
	}
	if err != nil {
		return []error{err}
	}
	p.position.From = &at
	return nil
}
