package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Objective is what a new revision has to keep while it is watched.
type Objective struct {
	Errors  float64       // part of the answers that may be 5xx
	Latency time.Duration // within which 95 of 100 answers come
	Window  time.Duration // how far back to look
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
	P95              time.Duration
}

// Healthy asks how a revision of a service does. An answer that cannot be had is an
// error: nobody shifts traffic blindly.
func (m Monitor) Healthy(ctx context.Context, service, revision string, o Objective) (Health, error) {
	labels := fmt.Sprintf(`monitored_resource="cloud_run_revision",service_name=%q,revision_name=%q`, service, revision)
	window := strconv.Itoa(int(o.Window.Seconds())) + "s"
	var h Health
	var latency float64
	for _, q := range []struct {
		into *float64
		text string
	}{
		{&h.Requests, fmt.Sprintf(`sum(increase(run_googleapis_com:request_count{%s}[%s]))`, labels, window)},
		{&h.Failed, fmt.Sprintf(`sum(increase(run_googleapis_com:request_count{%s,response_code_class="5xx"}[%s]))`, labels, window)},
		{&latency, fmt.Sprintf(`histogram_quantile(0.95, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{%s}[%s])))`, labels, window)},
	} {
		value, err := m.query(ctx, q.text)
		if err != nil {
			return h, err
		}
		*q.into = value
	}
	h.P95 = time.Duration(latency * float64(time.Millisecond))
	// One failure of a few requests says nothing; smoke tests have passed before.
	if allowed := math.Max(1, o.Errors*h.Requests); h.Failed > allowed {
		return h, fmt.Errorf("%s: %.0f of %.0f answers failed, %.0f may", revision, h.Failed, h.Requests, allowed)
	}
	if h.P95 > o.Latency {
		return h, fmt.Errorf("%s: 95 of 100 answers take up to %s, %s is the bound", revision, h.P95, o.Latency)
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
