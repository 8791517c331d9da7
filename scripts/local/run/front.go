package run

import (
	"net/http"
	"strings"

	"github.com/coditect/platform/scripts/local/cloud"
)

// localOnly is where what exists on a laptop only is found.
const (
	localOnly   = "/_local/"
	objectsPath = localOnly + "objects/"
)

// front serves what exists on a laptop only, and the platform everywhere else,
// whose paths it leaves as they are.
func (p *parts) front(platform http.Handler) http.Handler {
	m := http.NewServeMux()
	if p.cloud != nil {
		m.Handle(cloud.OIDCPath+"/", p.cloud.Handler())
	}
	if p.objects != nil {
		m.Handle(objectsPath, p.objects)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, localOnly) {
			m.ServeHTTP(w, r)
			return
		}
		platform.ServeHTTP(w, r)
	})
}
