package outboxrelay

import (
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/coditect/platform/shared/functest"
)

var testLog = slog.New(slog.DiscardHandler)

func serveHTTP(h http.Handler, r *http.Request) functest.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return functest.Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
}
