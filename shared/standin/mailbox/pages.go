package mailbox

import (
	"embed"
	"encoding/json"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
)

const (
	// Prefix is the path that Handler serves.
	Prefix = "/_local/mail/"
	// LinkPath, behind the platform's own address, is what APP_URL is set to so
	// that the links in mails lead to pages of the mailbox that act on them.
	LinkPath = "/_local/mail/app"
)

//go:embed pages
var files embed.FS

// A mail's HTML lives in a frame without scripts, forms or same origin, and
// loads nothing; its links open in a new tab.
const policy = "default-src 'none'; style-src 'unsafe-inline' 'self'; img-src data:; script-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"framed": func(html string) string { return `<base target="_blank">` + html },
	"join":   strings.Join,
}).ParseFS(files, "pages/*.html"))

// Handler serves the mailbox under [Prefix].
func (b *Box) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"{$}", func(w http.ResponseWriter, r *http.Request) {
		to := r.URL.Query().Get("to")
		show(w, http.StatusOK, "list.html", map[string]any{"To": to, "Messages": b.Messages(to)})
	})
	mux.HandleFunc("GET "+Prefix+"messages/{id}/{$}", b.found(func(w http.ResponseWriter, m Message) { show(w, http.StatusOK, "message.html", m) }))
	mux.HandleFunc("GET "+Prefix+"messages/{id}/raw/{$}", b.found(func(w http.ResponseWriter, m Message) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(m.Raw))
	}))
	mux.HandleFunc("GET "+Prefix+"api/messages/{$}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"results": b.Messages(r.URL.Query().Get("to"))})
	})
	mux.HandleFunc("GET "+Prefix+"api/messages/{id}/{$}", b.found(func(w http.ResponseWriter, m Message) { answer(w, m) }))
	mux.HandleFunc("DELETE "+Prefix+"api/messages/{$}", func(w http.ResponseWriter, _ *http.Request) {
		if err := b.Clear(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT "+Prefix+"api/fault/{$}", b.setFault)
	mux.HandleFunc("GET "+LinkPath+"/{page...}", func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(r.PathValue("page"), "/")
		show(w, http.StatusOK, "app.html", map[string]any{"Page": name, "Action": actions[name]})
	})
	assets, err := fs.Sub(files, "pages")
	if err != nil {
		return http.NotFoundHandler() // the folder is embedded above
	}
	mux.Handle("GET "+Prefix+"assets/", http.StripPrefix(Prefix+"assets/", http.FileServerFS(assets)))
	// The trailing slash may be left out, as everywhere on the platform.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		if path := r.URL.Path; !strings.HasSuffix(path, "/") && !strings.HasPrefix(path, Prefix+"assets/") && !strings.HasPrefix(path, LinkPath+"/") {
			r = r.Clone(r.Context())
			r.URL.Path += "/"
		}
		mux.ServeHTTP(w, r)
	})
}

func (b *Box) found(then func(http.ResponseWriter, Message)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, ok := b.store.get(r.PathValue("id"))
		if !ok {
			show(w, http.StatusNotFound, "list.html", map[string]any{"To": "", "Messages": b.Messages("")})
			return
		}
		then(w, read(m))
	}
}

func (b *Box) setFault(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Fault Fault  `json:"fault"`
		Only  string `json:"only"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
		http.Error(w, "not a fault", http.StatusBadRequest)
		return
	}
	switch in.Fault {
	case Healthy, Down, Temporary, Permanent, Policy, Slow:
		b.Misbehave(in.Fault, in.Only)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "no such fault", http.StatusBadRequest)
	}
}

// action is what a link's page does with its token.
type action struct {
	Title, Path string
	Fields      []field
	SignedIn    bool // needs an access token, too
	InQuery     bool // takes its token in the address
}

type field struct{ Name, Label, Type string }

var actions = map[string]*action{
	"verify-email":   {Title: "Verify your address", Path: "/api/v1/auth/verify-email/"},
	"reset-password": {Title: "Choose a new password", Path: "/api/v1/auth/password-reset/confirm/", Fields: []field{{"password", "New password", "password"}}},
	"unsubscribe":    {Title: "Stop the daily summaries", Path: "/api/v1/users/unsubscribe/", InQuery: true},
	"confirm-email":  {Title: "Confirm your new address", Path: "/api/v1/users/me/email/confirm/", SignedIn: true},
	"accept-invitation": {Title: "Accept the invitation", Path: "/api/v1/users/invitations/accept/", Fields: []field{
		{"password", "Password", "password"}, {"first_name", "First name", "text"}, {"last_name", "Last name", "text"},
	}},
}

func show(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, name, data) // the reader left
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the reader left
}
