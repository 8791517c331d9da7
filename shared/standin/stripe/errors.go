package stripe

import (
	"encoding/json"
	"errors"
	"net/http"
)

const (
	invalidRequest = "invalid_request_error"
	cardError      = "card_error"
)

// apiError is a refusal in Stripe's form.
type apiError struct {
	status        int
	Type          string          `json:"type"`
	Code          string          `json:"code,omitempty"`
	DeclineCode   string          `json:"decline_code,omitempty"`
	Message       string          `json:"message"`
	Param         string          `json:"param,omitempty"`
	PaymentIntent json.RawMessage `json:"payment_intent,omitempty"`
}

func (e *apiError) Error() string { return e.Type + ": " + e.Message }

func (e *apiError) body() []byte {
	b, _ := json.Marshal(map[string]any{"error": e}) // text always marshals
	return b
}

func asAPIError(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	return &apiError{status: http.StatusInternalServerError, Type: "api_error", Message: err.Error()}
}

func refuse(w http.ResponseWriter, e *apiError) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", newID("req_"))
	w.WriteHeader(e.status)
	_, _ = w.Write(e.body()) //nolint:gosec // JSON, and said to be.
}

func invalid(param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, Type: invalidRequest, Message: message, Param: param}
}

func missing(param string) *apiError {
	return &apiError{status: http.StatusBadRequest, Type: invalidRequest, Code: "parameter_missing", Message: "Missing required param: " + param + ".", Param: param}
}

// noSuch is the answer for an object that is absent. In the path that is 404,
// as a parameter 400.
func noSuch(kind, id, param string) *apiError {
	e := &apiError{status: http.StatusNotFound, Type: invalidRequest, Code: "resource_missing", Message: "No such " + kind + ": '" + id + "'", Param: param}
	if param != "id" {
		e.status = http.StatusBadRequest
	}
	return e
}
