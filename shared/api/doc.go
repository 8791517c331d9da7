// Package api turns functions into HTTP: operations as values, behind one chain
// of checks, with one form of error, one form of list and one document.
//
// An operation is a [Spec] and a Go function from an input struct to an output.
// The input's fields are tagged path, query or header, and its Body is the JSON
// body; limits are tags too (minLength, maximum, enum, format …; see
// huma.rocks). Embed [ByID], [IfMatch] and [PageInput] where they apply. The
// output is one of [Item] (a resource with a version), [List], [Value],
// [Empty], [Redirect] and [Stream]. A failure is an error of shared/errs; the
// chain turns it into a problem.
//
//	type createInput struct {
//		Body struct {
//			Name string `json:"name" minLength:"1" maxLength:"255"`
//		}
//	}
//
//	func (s *store) create() api.Operation {
//		return api.New(api.Spec{
//			ID: "project-create", Method: http.MethodPost, Path: "/api/v1/projects/", Status: http.StatusCreated,
//			Summary: "Create a project", Tag: "Projects", Permission: identity.ProjectsWrite,
//			RequestExample: …, ResponseExample: …,
//		}, func(ctx context.Context, by identity.Caller, in *createInput) (*api.Item[Project], error) { … })
//	}
//
// What the chain does, and in which order, is the list in chain.go. Package
// huma decodes, validates and documents; its own answers never reach a client
// (see call.go), so its defaults cannot leak. To replace it, replace
// registry.go and the registration in spec.go: no function imports it.
package api
