// Package jobs is the function that shows what people wait for, reports and
// exports: list, read, cancel, and begin an export. The work itself is done by
// the functions reporter and exporter; a report is begun where its project is.
//
// A person sees the jobs they asked for; who may export the organization sees
// all of its jobs. The link to a result is made when the job is asked for, so
// that it is worth nothing to whoever finds it a quarter of an hour later.
//
// To add an operation, write a file of its own with its input, its output and
// its act, and give it a line in operations. The statements are in shared/job,
// which the workers need too. `make generate` then updates the router's table
// and the OpenAPI document.
package jobs

import (
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/db"
)

// service is what the operations share.
type service struct {
	db      *db.DB
	objects *blob.Store
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(listSpec, s.list),
		api.New(getSpec, s.get),
		api.New(cancelSpec, s.cancel),
		api.New(exportSpec, s.export),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "jobs", Operations: (&service{}).operations()}
}
