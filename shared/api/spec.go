package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
)

// DefaultMaxBody is the largest request body, in bytes, of an operation that
// names no limit of its own.
const DefaultMaxBody = 1 << 20

// Spec is what a function declares about one operation. Everything that is
// known about the operation elsewhere (the mux, the router's table, the
// OpenAPI document, the isolation tests) is read from it.
type Spec struct {
	// ID is the operationId: unique across all functions, kebab-case, stable.
	ID string
	// Method and Path; the path is the canonical one, with its trailing slash.
	// The same path without it is served too.
	Method, Path         string
	Summary, Description string
	Tag                  string

	// Permission is what the caller must hold: a right inside a tenant, or
	// identity.SignedIn, identity.Member, identity.Internal.
	Permission identity.Permission
	// Public is the only way to have no permission. A token that comes along is
	// used if it holds and ignored if not.
	Public bool
	// OpenWhenSuspended serves a suspended tenant too: reading the tenant
	// itself, billing, leaving.
	OpenWhenSuspended bool
	// Essential is never blocked by a plan's limits on requests, of the minute or
	// of the month: what one needs to get out of them (signing in, billing, the
	// organization itself), to put somebody out of the organization or to take
	// one's data along. It has a budget of the person's own instead.
	Essential bool
	// IdempotencyKey takes an Idempotency-Key although Public. Every POST with
	// a token takes it anyway.
	IdempotencyKey bool
	// Sealed encrypts stored idempotent answers and forbids caching: for
	// answers that hold tokens.
	Sealed bool

	// Status of success; 0 is 201 for an output made by [Created]'s type on
	// POST, 204 for [Empty], else 200.
	Status int
	// Also is another status of success with the same form of answer, for
	// [Value.As].
	Also int
	// Errors the operation itself may answer with. Those of the conventions
	// (400, 401, 402, 403, 404, 409, 412, 415, 422, 429, 5xx) are added.
	Errors []errs.Error
	// MaxBody in bytes; 0 is [DefaultMaxBody].
	MaxBody int64
	// Accepts lists the media types of the body, for the rare one that is not
	// JSON; its input then has a RawBody.
	Accepts []string

	// RequestExample and ResponseExample are shown in the document. Each
	// operation with a body, or with an answer, needs one.
	RequestExample, ResponseExample any
}

// Operation is a Spec with the code that serves it, its types erased, so that
// operations of all shapes stand in one table.
type Operation struct {
	Spec
	input, output reflect.Type
	shape         shape
	register      func(a huma.API, told bool)
}

// New makes an operation. It panics on a declaration that would be wrong in
// production, since a function with one must not start.
func New[I, O any](s Spec, act func(ctx context.Context, by identity.Caller, in *I) (*O, error)) Operation {
	op := Operation{Spec: s, input: reflect.TypeFor[I](), output: reflect.TypeFor[O]()}
	out, answers := any(new(O)).(output)
	if !answers {
		panic(fmt.Sprintf("api: %s: an operation answers with api.Item, api.List, api.Value, api.Empty or api.Stream, not %s", s.ID, op.output))
	}
	if op.Status == 0 {
		op.Status = out.defaultStatus(s.Method)
	}
	if op.MaxBody == 0 {
		op.MaxBody = DefaultMaxBody
	}
	op.shape = inspect(op.input, op.output)
	if fault := op.fault(); fault != "" {
		panic(fmt.Sprintf("api: %s %s %s: %s", s.ID, s.Method, s.Path, fault))
	}
	op.register = func(a huma.API, told bool) {
		// huma is not told what is answered: it would only describe it again.
		huma.Register(a, op.huma(a.OpenAPI().Components.Schemas, told), func(ctx context.Context, in *I) (*struct{}, error) {
			c := callOf(ctx)
			if c == nil || !c.admitted {
				return nil, c.refuse(errUnguarded) // nobody checked the permission: the chain is not ours
			}
			if len(c.nulls) > 0 {
				return nil, c.refuse(errs.InvalidFields(c.nulls...))
			}
			out, err := act(ctx, c.caller, in)
			if err != nil {
				return nil, c.refuse(err)
			}
			if out == nil {
				out = new(O)
			}
			a, err := any(out).(output).render(c)
			if err != nil {
				return nil, c.refuse(err)
			}
			c.answer = a
			return nil, nil
		})
	}
	return op
}

var errUnguarded = errs.New(errs.Internal, "internal", "Something went wrong on our side.")

// Function is a deployable unit: a name and its operations.
type Function struct {
	Name       string
	Operations []Operation
}

// Route is one line of the router's table.
type Route struct {
	Function          string              `json:"function"`
	OperationID       string              `json:"operation_id"`
	Method            string              `json:"method"`
	Path              string              `json:"path"`
	Permission        identity.Permission `json:"permission,omitempty"`
	Public            bool                `json:"public,omitempty"`
	OpenWhenSuspended bool                `json:"open_when_suspended,omitempty"`
	Essential         bool                `json:"essential,omitempty"`
	// Quota is a route whose requests end with those that the plan has a month.
	Quota   bool  `json:"quota,omitempty"`
	MaxBody int64 `json:"max_body"`
}

// Routes lists what the functions serve, in their order. It panics when two
// serve the same method and path, or share an operation id.
func Routes(fns ...Function) []Route {
	var out []Route
	paths, ids := map[string]string{}, map[string]string{}
	for _, f := range fns {
		for _, op := range f.Operations {
			at := op.Method + " " + op.Path
			if was, taken := paths[at]; taken {
				panic(fmt.Sprintf("api: %s is served by both %s and %s", at, was, op.ID))
			}
			if was, taken := ids[op.ID]; taken {
				panic(fmt.Sprintf("api: operation id %s is used for %s and %s", op.ID, was, at))
			}
			paths[at], ids[op.ID] = op.ID, at
			out = append(out, Route{
				Function: f.Name, OperationID: op.ID, Method: op.Method, Path: op.Path, Permission: op.Permission,
				Public: op.Public, OpenWhenSuspended: op.OpenWhenSuspended, Essential: op.Essential, Quota: op.underQuota(),
				MaxBody: op.MaxBody,
			})
		}
	}
	return out
}

// takesKey reports whether a request of the operation may carry an
// Idempotency-Key.
func (o Operation) takesKey() bool {
	return o.Method == http.MethodPost && o.Permission != identity.Internal && (!o.Public || o.IdempotencyKey)
}

// underQuota reports whether the operation is refused when the organization has
// used the requests of the month that its plan has. What belongs to the person
// alone never is.
func (o Operation) underQuota() bool { return o.needsTenant() && !o.Essential }

// needsTenant reports whether the operation acts inside an organization.
func (o Operation) needsTenant() bool {
	return !o.Public && o.Permission != identity.SignedIn && o.Permission != identity.Internal
}
