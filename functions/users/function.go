// Package users is the function that serves people: one's own profile.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package users

import (
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
)

// service is what the operations share.
type service struct {
	db     *db.DB
	access api.Access
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(meSpec, s.me),
		api.New(replaceMeSpec, s.replaceMe),
		api.New(updateMeSpec, s.updateMe),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "users", Operations: (&service{}).operations()}
}
