// Package projects is the function that serves an organization's projects:
// create, list, read, change, delete, restore and report.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package projects

import (
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/listcache"
)

// service is what the operations share.
type service struct {
	db *db.DB
	// lists are dropped by whatever writes a project.
	lists *listcache.Cache
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(createSpec, s.create),
		api.New(listSpec, s.list),
		api.New(getSpec, s.get),
		api.New(replaceSpec, s.replace),
		api.New(updateSpec, s.update),
		api.New(deleteSpec, s.delete),
		api.New(restoreSpec, s.restore),
		api.New(reportSpec, s.report),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "projects", Operations: (&service{}).operations()}
}
