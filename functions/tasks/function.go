// Package tasks is the function that serves tasks: under a project and on
// their own, with filters, search and cursors.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package tasks

import (
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/listcache"
)

// service is what the operations share.
type service struct {
	db *db.DB
	// lists of projects show how many tasks there are of each status: whatever
	// changes that drops them.
	lists *listcache.Cache
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(createSpec, s.create),
		api.New(listInProjectSpec, s.listInProject),
		api.New(listSpec, s.list),
		api.New(getSpec, s.get),
		api.New(replaceSpec, s.replace),
		api.New(updateSpec, s.update),
		api.New(deleteSpec, s.delete),
		api.New(restoreSpec, s.restore),
		api.New(assignSpec, s.assign),
		api.New(bulkSpec, s.bulk),
		api.New(createCommentSpec, s.createComment),
		api.New(listCommentsSpec, s.listComments),
		api.New(updateCommentSpec, s.updateComment),
		api.New(deleteCommentSpec, s.deleteComment),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "tasks", Operations: (&service{}).operations()}
}
