package run

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/coditect/platform/scripts/local/cloud"
	"github.com/coditect/platform/shared/standin/dns"
	"github.com/coditect/platform/shared/standin/mailbox"
	"github.com/coditect/platform/shared/standin/stripe"
)

// localOnly is where what exists on a laptop only is found.
const (
	localOnly   = "/_local/"
	objectsPath = localOnly + "objects/"
	// functionsPath leads to functions by name, past the router: for those of
	// one process, which have no port, to reach one another.
	functionsPath = localOnly + "functions/"
)

// front serves what exists on a laptop only, and the platform everywhere else,
// whose paths it leaves as they are.
func (p *parts) front(platform *Platform) http.Handler {
	m := http.NewServeMux()
	if p.cloud != nil {
		m.Handle(cloud.OIDCPath+"/", p.cloud.Handler())
	}
	if p.mailbox != nil {
		m.Handle(mailbox.Prefix, p.mailbox.Handler())
	}
	if p.dns != nil {
		m.Handle(dns.Prefix, p.dns.Handler())
	}
	if p.stripe != nil {
		m.Handle(stripe.LocalPath, p.stripe.server.Handler())
	}
	if p.objects != nil {
		m.Handle(objectsPath, p.objects)
	}
	if platform.Address != nil {
		m.Handle(functionsPath+"{name}/", functions(platform))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, localOnly) {
			m.ServeHTTP(w, r)
			return
		}
		platform.Handler.ServeHTTP(w, r)
	})
}

// functions passes requests on as they are. Whom a function lets in is its own
// business: it asks for the signature of a hop or a token either way.
func functions(platform *Platform) http.Handler {
	return &httputil.ReverseProxy{Transport: platform.Transport, Rewrite: func(r *httputil.ProxyRequest) {
		name := r.In.PathValue("name")
		to, err := url.Parse(platform.Address(name))
		if err != nil {
			to = &url.URL{}
		}
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, to.Host
		r.Out.URL.Path, r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.Path, functionsPath+name), ""
	}}
}
