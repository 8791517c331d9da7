package stripe

import (
	"html/template"
	"net/http"
	"strings"
)

// LocalPath is where the pages are that Stripe does not have: a person on a
// laptop, without a frontend, answers their bank there. The runner serves it
// from its own address too.
const LocalPath = "/_local/stripe/"

var page3DS = template.Must(template.New("bank").Parse(`<!doctype html><html lang="en"><title>Bank</title>
<h1>Your bank asks</h1>{{range .}}<form method="post" action="` + LocalPath + `authenticate">
<p>{{.What}} <code>{{.ID}}</code></p><input type="hidden" name="id" value="{{.ID}}">
<button name="answer" value="yes">Yes, it is me</button> <button name="answer" value="no">No</button></form>
{{else}}<p>Nothing waits for an answer.</p>{{end}}</html>`))

// local serves the pages. They take forms of their own origin only.
func (s *Server) local() {
	s.mux.HandleFunc("GET "+LocalPath+"{$}", func(w http.ResponseWriter, _ *http.Request) {
		type waiting struct{ What, ID string }
		var all []waiting
		s.mu.Lock()
		for _, pi := range s.s.Intents {
			if pi.Status == "requires_action" {
				all = append(all, waiting{"A payment", pi.ID})
			}
		}
		for _, v := range s.s.Setups {
			if v.Status == "requires_action" {
				all = append(all, waiting{"A card to keep", v.ID})
			}
		}
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page3DS.Execute(w, all)
	})
	s.mux.HandleFunc("POST "+LocalPath+"authenticate", func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && !strings.HasSuffix(origin, "://"+r.Host) {
			http.Error(w, "from another site", http.StatusForbidden)
			return
		}
		if !s.Authenticate(r.FormValue("id"), r.FormValue("answer") == "yes") {
			http.Error(w, "nothing waits under this id", http.StatusNotFound)
			return
		}
		http.Redirect(w, r, LocalPath, http.StatusSeeOther)
	})
}
