package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the service promises and its alerts watch: terraform/modules/monitoring has the
// same figures, and a test compares them.
const (
	Availability = 0.999                  // part of the requests that is answered without a fault of ours
	Latency      = 500 * time.Millisecond // within which LatencyGoal of them are
	LatencyGoal  = 0.95
	Burn         = 14.4 // how many times too fast the budget of errors burns when somebody is woken
)

// Smoked is how long ago a revision may have been asked first, by its smoke test: a
// whole release takes no longer.
const Smoked = 3 * time.Hour

// Objective is what a new revision has to keep while it is watched. A part of the
// traffic over minutes is too little to measure 99.9 % by. So a revision goes back when
// it fails so often that the alert for the whole would sound, at Burn times the errors
// that the promise leaves, and never for a single failure; and when it is slower than
// promised, as soon as there are enough answers for LatencyGoal to leave one out.
type Objective struct {
	Errors  float64       // part of the answers that may be 5xx
	Latency time.Duration // within which LatencyGoal of the answers come; 0 where no client waits
	Window  time.Duration // how far back to look
}

// Promised is the objective over a window. Background work, which no client waits for,
// has only its own deadline, past which it is an error.
func Promised(window time.Duration, client bool) Objective {
	o := Objective{Errors: Burn * (1 - Availability), Window: window}
	if client {
		o.Latency = Latency
	}
	return o
}

// A Monitor asks Cloud Monitoring by its PromQL interface.
type Monitor struct {
	Client   *http.Client
	Endpoint string // https://monitoring.googleapis.com
	Project  string
	Token    string
}

// Health is what was found.
type Health struct {
	Requests, Failed float64
	Slow             time.Duration // LatencyGoal of the answers took no longer
}

// A Revision of a service.
type Revision struct{ Service, Name string }

func (r Revision) labels() string {
	return fmt.Sprintf(`monitored_resource="cloud_run_revision",service_name=%q,revision_name=%q`, r.Service, r.Name)
}

func requests(labels string, window time.Duration) string {
	return fmt.Sprintf(`sum(increase(run_googleapis_com:request_count{%s}[%ds]))`, labels, int(window.Seconds()))
}

// Await asks until figures have arrived, every so often, and gives up with ctx. Nothing
// measured is not nothing wrong: the smoke test has asked each revision, so that there
// is one request at least of each; and each minute a schedule runs, so that figures of
// the window have come when there is any request of the project in it.
func (m Monitor) Await(ctx context.Context, revisions []Revision, window, every time.Duration) error {
	missing := map[string]string{"any request of the last " + window.String(): requests(`monitored_resource="cloud_run_revision"`, window)}
	for _, r := range revisions {
		missing["the smoke test of "+r.Name] = requests(r.labels(), Smoked)
	}
	for {
		for what, text := range missing {
			value, err := m.query(ctx, text)
			if err != nil && ctx.Err() == nil {
				return err
			}
			// Increases are extrapolated: one request may be counted as less.
			if err == nil && value > 0 {
				delete(missing, what)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("monitoring does not show %s: %w", strings.Join(slices.Sorted(maps.Keys(missing)), ", "), ctx.Err())
		case <-time.After(every):
		}
	}
}

// Healthy asks how a revision of a service does, whose figures have arrived. An answer
// that cannot be had is an error: nobody shifts traffic blindly.
func (m Monitor) Healthy(ctx context.Context, r Revision, o Objective) (Health, error) {
	var h Health
	var latency float64
	for _, q := range []struct {
		into *float64
		text string
	}{
		{&h.Requests, requests(r.labels(), o.Window)},
		{&h.Failed, requests(r.labels()+`,response_code_class="5xx"`, o.Window)},
		{&latency, fmt.Sprintf(`histogram_quantile(%g, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{%s}[%ds])))`, LatencyGoal, r.labels(), int(o.Window.Seconds()))},
	} {
		value, err := m.query(ctx, q.text)
		if err != nil {
			return h, err
		}
		*q.into = value
	}
	h.Slow = time.Duration(latency * float64(time.Millisecond))
	if allowed := math.Max(1, o.Errors*h.Requests); h.Failed > allowed {
		return h, fmt.Errorf("%s: %.0f of %.0f answers failed, %.0f may", r.Name, h.Failed, h.Requests, allowed)
	}
	// Of fewer the slowest decides, which is the first of a new instance.
	if enough := 1 / (1 - LatencyGoal); o.Latency > 0 && h.Requests >= math.Floor(enough) && h.Slow > o.Latency {
		return h, fmt.Errorf("%s: %g of 100 answers take up to %s, %s is promised", r.Name, 100*LatencyGoal, h.Slow, o.Latency)
	}
	return h, nil
}

// query gives the one value of an instant query; no series is 0.
func (m Monitor) query(ctx context.Context, text string) (float64, error) {
	address := m.Endpoint + "/v1/projects/" + url.PathEscape(m.Project) + "/location/global/prometheus/api/v1/query?" + url.Values{"query": {text}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+m.Token)
	res, err := m.Client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("monitoring answered %d: %.200s", res.StatusCode, body)
	}
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("monitoring: %w", err)
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("monitoring: %.200s", body)
	}
	if len(answer.Data.Result) == 0 {
		return 0, nil
	}
	number, _ := answer.Data.Result[0].Value[1].(string)
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("monitoring: %w", err)
	}
	if math.IsNaN(value) { // no requests, so no latency
		return 0, nil
	}
	return value, nil
}

// Serving is the revision that has all traffic, out of what `gcloud run services
// describe --format=json` prints: the one to go back to.
func Serving(r io.Reader) (string, error) {
	var service struct {
		Status struct {
			Traffic []struct {
				Revision string `json:"revisionName"`
				Percent  int    `json:"percent"`
			} `json:"traffic"`
		} `json:"status"`
	}
	if err := json.NewDecoder(r).Decode(&service); err != nil {
		return "", fmt.Errorf("the service's description: %w", err)
	}
	for _, t := range service.Status.Traffic {
		if t.Percent == 100 && t.Revision != "" {
			return t.Revision, nil
		}
	}
	return "", errors.New("no revision has all traffic: another release is under way, or was left half-way (scripts/delivery/rollback.sh)")
}

// Answers reports whether our code is behind an address, as an answer shows that
// nobody else gives: a problem document of a function without a hop, or what the
// router says of its life.
func Answers(ctx context.Context, client *http.Client, address, token string) error {
	for _, try := range []struct {
		path string
		ok   func(*http.Response) bool
	}{
		{"/livez", func(r *http.Response) bool { return r.StatusCode == http.StatusOK }},
		{"/api/v1/", func(r *http.Response) bool {
			return strings.HasPrefix(r.Header.Get("Content-Type"), "application/problem+json") &&
				(r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusNotFound)
		}},
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+try.path, http.NoBody)
		if err != nil {
			return err
		}
		if token != "" {
			req.Header.Set("X-Serverless-Authorization", "Bearer "+token)
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if try.ok(res) {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer as our code does", address)
}

// Metadata is where Google Cloud tells a program who it is.
const Metadata = "http://metadata.google.internal"

// Identity is a token by which the account that this runs as is known to audience.
func Identity(ctx context.Context, client *http.Client, metadata, audience string) (string, error) {
	address := metadata + "/computeMetadata/v1/instance/service-accounts/default/identity?" + url.Values{"audience": {audience}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	token, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the metadata server answered %d", res.StatusCode)
	}
	return strings.TrimSpace(string(token)), err
}
