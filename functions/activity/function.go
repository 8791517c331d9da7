// Package activity is the function that shows what was done in an
// organization, by whom. Rows are written by shared/db with the change they
// tell of; nobody edits them.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package activity

import (
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
)

// service is what the operations share.
type service struct {
	db *db.DB
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(listSpec, s.list),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "activity", Operations: (&service{}).operations()}
}
