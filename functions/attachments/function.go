// Package attachments is the function that serves the files of tasks: list,
// begin an upload, complete it, read and delete.
//
// No file passes through it. A client asks for an upload, gets a link of the
// object storage that takes one object of the type and size it named, writes
// there, and says when it is done; then the object is checked and counted.
// Reading gives a link of a quarter of an hour. docs/attachments.md tells the
// whole way.
//
// It is apart from the function tasks because the storage's client is larger
// than that function itself.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package attachments

import (
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/db"
)

// service is what the operations share.
type service struct {
	db      *db.DB
	objects *blob.Store
	maxSize int64 // bytes of one file
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(listSpec, s.list),
		api.New(createSpec, s.create),
		api.New(completeSpec, s.complete),
		api.New(getSpec, s.get),
		api.New(deleteSpec, s.delete),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "attachments", Operations: (&service{}).operations()}
}
