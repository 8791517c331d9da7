package push

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/oidc"
)

const pusher = "push@local.iam.gserviceaccount.com"

// theIssuer is one for all tests, as its key takes a while.
var theIssuer = sync.OnceValues(func() (*oidc.Issuer, error) { return oidc.New("https://accounts.google.com") })

// house is a door with the issuer that it trusts.
func house(t testing.TB, change func(*Config)) (*Door, *oidc.Issuer) {
	t.Helper()
	issuer, err := theIssuer()
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewServer(issuer.Handler())
	t.Cleanup(served.Close)
	cfg, err := config.Load[Config](config.Map(map[string]string{
		"PUSH_JWKS_URL": served.URL + oidc.KeysPath, "PUSH_SERVICE_ACCOUNTS": "other@local," + pusher,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg, "mailer"), issuer
}

func envelope(t testing.TB) (queue.Envelope, []byte) {
	t.Helper()
	e := queue.Envelope{Version: 1, Kind: "mail.invitation", TenantID: ids.New(), ID: ids.New(), Trace: "00-a-b-01",
		CreatedAt: time.Now().UTC().Truncate(time.Second), Payload: json.RawMessage(`{"invitation_id":"x"}`)}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return e, body
}

func request(token, body string, header map[string]string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://mailer/", strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r
}

var asTask = map[string]string{"X-CloudTasks-TaskName": "t", "X-CloudTasks-QueueName": "mail", "X-CloudTasks-TaskRetryCount": "2"}

func TestTasksAndEventsComeIn(t *testing.T) {
	t.Parallel()
	door, issuer := house(t, nil)
	token, err := issuer.Token(pusher, "http://mailer")
	if err != nil {
		t.Fatal(err)
	}
	e, body := envelope(t)
	event := func(attempt string) string {
		return fmt.Sprintf(`{"message":{"data":%q,"attributes":{"kind":"x"},"messageId":"7","orderingKey":"k","publishTime":"2026-01-01T00:00:00Z","new":1},"subscription":"projects/local/subscriptions/s"%s}`,
			base64.StdEncoding.EncodeToString(body), attempt)
	}
	for name, tc := range map[string]struct {
		r       *http.Request
		attempt int
	}{
		"task, third attempt":     {request(token, string(body), asTask), 3},
		"task without a count":    {request(token, string(body), map[string]string{"X-CloudTasks-TaskName": "t"}), 1},
		"event, fourth delivery":  {request(token, event(`,"deliveryAttempt":4`), nil), 4},
		"event without a policy":  {request(token, event(""), nil), 1},
		"event of negative count": {request(token, event(`,"deliveryAttempt":-4`), nil), 1},
	} {
		got, err := door.Receive(httptest.NewRecorder(), tc.r)
		if err != nil || got.Attempt != tc.attempt || got.Envelope.ID != e.ID || got.Envelope.TenantID != e.TenantID || string(got.Envelope.Payload) != string(e.Payload) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTrapT40Intruders(t *testing.T) {
	t.Parallel()
	door, issuer := house(t, nil)
	stranger, err := oidc.New("https://accounts.google.com")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good := jwt.MapClaims{"iss": "https://accounts.google.com", "aud": "http://mailer", "email": pusher, "email_verified": true, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	with := func(change jwt.MapClaims) string {
		c := maps.Clone(good)
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		token, err := issuer.Sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	signed := func(method jwt.SigningMethod, kid string, key any) string {
		tok := jwt.NewWithClaims(method, good)
		tok.Header["kid"] = kid
		out, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	foreign, err := stranger.Sign(good)
	if err != nil {
		t.Fatal(err)
	}
	valid := with(nil)
	payload := strings.Split(valid, ".")
	e, body := envelope(t)
	_ = e

	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"the right one":             {valid, nil},
		"no token":                  {"", ErrTokenMissing},
		"other audience":            {with(jwt.MapClaims{"aud": "http://reporter"}), ErrTokenInvalid},
		"audience of a prefix":      {with(jwt.MapClaims{"aud": "http://mailer.example"}), ErrTokenInvalid},
		"no audience":               {with(jwt.MapClaims{"aud": nil}), ErrTokenInvalid},
		"other issuer":              {with(jwt.MapClaims{"iss": "https://evil.example"}), ErrTokenInvalid},
		"no issuer":                 {with(jwt.MapClaims{"iss": nil}), ErrTokenInvalid},
		"expired":                   {with(jwt.MapClaims{"exp": now.Add(-time.Minute).Unix()}), ErrTokenInvalid},
		"never expires":             {with(jwt.MapClaims{"exp": nil}), ErrTokenInvalid},
		"issued tomorrow":           {with(jwt.MapClaims{"iat": now.Add(24 * time.Hour).Unix()}), ErrTokenInvalid},
		"other service account":     {with(jwt.MapClaims{"email": "stranger@evil.iam.gserviceaccount.com"}), ErrForbidden},
		"other case":                {with(jwt.MapClaims{"email": strings.ToUpper(pusher)}), ErrForbidden},
		"no e-mail":                 {with(jwt.MapClaims{"email": nil}), ErrForbidden},
		"unverified e-mail":         {with(jwt.MapClaims{"email_verified": false}), ErrForbidden},
		"no word on verification":   {with(jwt.MapClaims{"email_verified": nil}), ErrForbidden},
		"key of another":            {foreign, ErrTokenInvalid},
		"another's under our kid":   {signed(jwt.SigningMethodHS256, issuer.KeyID(), []byte("k")), ErrTokenInvalid},
		"HS256 with our modulus":    {signed(jwt.SigningMethodHS256, issuer.KeyID(), issuer.PublicKey().N.Bytes()), ErrTokenInvalid},
		"alg none":                  {signed(jwt.SigningMethodNone, issuer.KeyID(), jwt.UnsafeAllowNoneSignatureType), ErrTokenInvalid},
		"signature cut off":         {payload[0] + "." + payload[1] + ".", ErrTokenInvalid},
		"signature of another":      {payload[0] + "." + payload[1] + "." + strings.Split(foreign, ".")[2], ErrTokenInvalid},
		"signature by the platform": {payload[0] + "." + payload[1] + "." + removed, ErrTokenInvalid},
		"other claims":              {payload[0] + "." + strings.Split(foreign, ".")[1] + "x." + payload[2], ErrTokenInvalid},
		"garbage":                   {"x.y.z", ErrTokenInvalid},
		"very long":                 {strings.Repeat("a", 9000), ErrTokenInvalid},
	} {
		_, err := door.Receive(httptest.NewRecorder(), request(tc.token, string(body), asTask))
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if tc.want == nil {
			continue
		}
		rec := httptest.NewRecorder()
		problem.Write(rec, request("", "", nil), "id", err)
		if want := map[errs.Kind]int{errs.Unauthenticated: 401, errs.Forbidden: 403}[errs.KindOf(err)]; rec.Code != want || strings.Contains(rec.Body.String(), "signature") {
			t.Errorf("%s: answered %d %s", name, rec.Code, rec.Body)
		}
	}
}

// The body of a stranger is not read, and the service's headers are no ticket.
func TestNothingIsBelievedBeforeTheToken(t *testing.T) {
	t.Parallel()
	door, issuer := house(t, nil)
	r := request("", "", asTask)
	r.Body = unread{t}
	if _, err := door.Receive(httptest.NewRecorder(), r); !errors.Is(err, ErrTokenMissing) {
		t.Error(err)
	}
	token, err := issuer.Token(pusher, "http://mailer")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]string{
		"two headers": {"Bearer " + token, "Bearer " + token}, "basic": {"Basic " + token}, "no scheme": {token}, "empty": {"Bearer "},
	} {
		err := door.Verify(t.Context(), http.Header{"Authorization": values})
		if errs.KindOf(err) != errs.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("read")
	return 0, errors.New("read")
}

func (unread) Close() error { return nil }

// Cloud Run checks the token and takes the signature away; what is left is
// believed only where that is said to happen, and only as far as the rest holds.
func TestSignatureCheckedByThePlatform(t *testing.T) {
	t.Parallel()
	door, issuer := house(t, func(c *Config) { c.PlatformVerifies = true })
	stripped := func(email, audience string) string {
		token, err := issuer.Token(email, audience)
		if err != nil {
			t.Fatal(err)
		}
		return token[:strings.LastIndexByte(token, '.')+1] + removed
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	right := stripped(pusher, "http://mailer")
	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"right":           {right, nil},
		"other audience":  {stripped(pusher, "http://reporter"), ErrTokenInvalid},
		"other account":   {stripped("x@y", "http://mailer"), ErrForbidden},
		"none":            {none + "." + strings.Split(right, ".")[1] + "." + removed, ErrTokenInvalid},
		"not claims":      {"e30.e30." + removed, ErrTokenInvalid},
		"wrong signature": {right[:strings.LastIndexByte(right, '.')+1] + "AAAA", ErrTokenInvalid},
	} {
		err := door.Verify(t.Context(), http.Header{"Authorization": {"Bearer " + tc.token}})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysNotToBeHad(t *testing.T) {
	t.Parallel()
	door, issuer := house(t, func(c *Config) { c.JWKSURL = "http://127.0.0.1:1/" })
	token, err := issuer.Token(pusher, "http://mailer")
	if err != nil {
		t.Fatal(err)
	}
	if err := door.Verify(t.Context(), http.Header{"Authorization": {"Bearer " + token}}); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v: the queue would not try again", err)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	door, issuer := house(t, nil)
	token, err := issuer.Token(pusher, "http://mailer")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		body   string
		header map[string]string
		status int
	}{
		"task, no envelope":   {"{}", asTask, 400},
		"task, empty":         {"", asTask, 400},
		"task over 1 MiB":     {strings.Repeat(" ", MaxTask+1), asTask, 413},
		"event over 10 MB":    {strings.Repeat(" ", MaxEvent+1), nil, 413},
		"event of 2 MiB":      {`{"message":{"data":"` + strings.Repeat("A", 2<<20) + `"},"subscription":"s"}`, nil, 400},
		"event, no message":   {`{"subscription":"s"}`, nil, 400},
		"event, not base64":   {`{"message":{"data":"%"},"subscription":"s"}`, nil, 400},
		"event, no data":      {`{"message":{},"subscription":"s"}`, nil, 400},
		"event, unsubscribed": {`{"message":{"data":"e30="}}`, nil, 400},
		"event, not JSON":     {"<", nil, 400},
	} {
		_, err := door.Receive(httptest.NewRecorder(), request(token, tc.body, tc.header))
		if got := problem.New(err, "/", "").Status; err == nil || got != tc.status {
			t.Errorf("%s: %d, %v", name, got, err)
		}
		if tc.status == 400 && !errors.Is(err, queue.ErrMalformed) {
			t.Errorf("%s: %v does not say that repeating is in vain", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"nobody":      {},
		"empty":       {"PUSH_SERVICE_ACCOUNTS": ""},
		"no address":  {"PUSH_SERVICE_ACCOUNTS": "a@b,c"},
		"keys":        {"PUSH_SERVICE_ACCOUNTS": "a@b", "PUSH_JWKS_URL": "file:///x"},
		"no audience": {"PUSH_SERVICE_ACCOUNTS": "a@b", "PUSH_AUDIENCE": ""},
		"no issuer":   {"PUSH_SERVICE_ACCOUNTS": "a@b", "PUSH_ISSUER": ""},
	} {
		if cfg, err := config.Load[Config](config.Map(env)); err == nil && cfg.Audience != "http://{name}" {
			t.Errorf("%s: accepted %+v", name, cfg)
		} else if err == nil && name != "no audience" && name != "no issuer" {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (Config{JWKSURL: "https://x", ServiceAccounts: []string{"a@b"}}).Validate(); err == nil {
		t.Error("no audience and no issuer: accepted")
	}
}

func FuzzMessage(f *testing.F) {
	_, body := envelope(f)
	f.Add(true, string(body), "1")
	f.Add(false, `{"message":{"data":"`+base64.StdEncoding.EncodeToString(body)+`"},"subscription":"s","deliveryAttempt":5}`, "")
	f.Add(false, `{"message":{"data":null},"subscription":"s"}`, "")
	f.Add(true, `{}`, "-1")
	f.Fuzz(func(t *testing.T, task bool, body, count string) {
		header := map[string]string{}
		if task {
			header["X-CloudTasks-TaskName"] = "t"
			header["X-CloudTasks-TaskRetryCount"] = count
		}
		got, err := read(httptest.NewRecorder(), request("", body, header))
		switch {
		case err != nil && errs.KindOf(err) != errs.Malformed:
			t.Errorf("%v", err)
		case err == nil && (got.Attempt < 1 || got.Envelope.ID == ids.Nil || got.Envelope.Kind == "" || got.Envelope.Owner() == ids.Nil):
			t.Errorf("let through %+v", got)
		}
	})
}

// TestVouchedFor holds that a call which the platform made itself needs no
// token, that it is of one sort only, and that nothing in a request is such a
// call.
func TestVouchedFor(t *testing.T) {
	t.Parallel()
	door, _ := house(t, nil)
	e, body := envelope(t)
	message, tick := queue.Vouch(t.Context(), queue.Call{Attempt: 3}), queue.Vouch(t.Context(), queue.Call{})
	// Its headers are none of a service's: they are not read.
	got, err := door.Receive(httptest.NewRecorder(), request("", string(body), asTask).WithContext(message))
	if err != nil || got.Attempt != 3 || got.Envelope.ID != e.ID {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := door.Receive(httptest.NewRecorder(), request("", "{}", nil).WithContext(message)); !errors.Is(err, queue.ErrMalformed) {
		t.Errorf("no envelope: %v", err)
	}
	if _, err := door.Receive(httptest.NewRecorder(), request("", string(body), nil).WithContext(tick)); !errors.Is(err, ErrMisdirected) || errors.Is(err, queue.ErrMalformed) {
		t.Errorf("a schedule's call for a job function: %v", err)
	}
	if err := door.Verify(tick, http.Header{}); err != nil {
		t.Error(err)
	}
	if err := door.Verify(message, http.Header{}); !errors.Is(err, ErrMisdirected) {
		t.Errorf("a message for a schedule: %v", err)
	}
	for _, header := range []map[string]string{asTask, {"X-CloudScheduler": "true"}, {"Vouched": "true"}, {"Call": `{"Attempt":1}`}} {
		if _, err := door.Receive(httptest.NewRecorder(), request("", string(body), header)); !errors.Is(err, ErrTokenMissing) {
			t.Errorf("%v: %v", header, err)
		}
	}
	if (Config{JWKSURL: "https://x", Issuer: "i", Audience: "a", Lambda: "mailer"}).Validate() != nil {
		t.Error("on Lambda nobody pushes")
	}
}
