// Command docspage uses the API's documentation as a person does: it opens
// /api/docs/ in a headless Chromium, enters an access token, tries an operation
// and reads its answer. It fails when that is not 200, when the page reports an
// error, or when it asks any host but its own for anything.
//
//	docspage -url http://127.0.0.1:8080 -chromium /usr/bin/chromium
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

func main() {
	at := flag.String("url", "http://127.0.0.1:8080", "where the platform is")
	browser := flag.String("chromium", "chromium", "the browser")
	flag.Parse()
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	err := run(ctx, strings.TrimSuffix(*at, "/"), *browser)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "docspage:", err)
		os.Exit(1)
	}
}

// run registers somebody and reads their profile through the page.
func run(ctx context.Context, at, browser string) error {
	email := fmt.Sprintf("reader-%d@example.com", time.Now().UnixNano())
	token, err := register(ctx, at, email)
	if err != nil {
		return err
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(browser), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1400, 1000))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root cannot have
	}
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	ctx, leave := chromedp.NewContext(ctx)
	defer leave()
	w := &witness{host: hostOf(at)}
	if err := chromedp.Listen(ctx, w.see); err != nil {
		return fmt.Errorf("start the browser: %w", err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		return fmt.Errorf("watch the network: %w", err)
	}
	status, answer, err := use(ctx, at, token)
	if err != nil {
		return errors.Join(fmt.Errorf("use the page: %w", err), w.faults())
	}
	if !strings.HasPrefix(strings.TrimSpace(status), "200") || !strings.Contains(answer, email) {
		return errors.Join(fmt.Errorf("the operation was answered %q: %.300s", status, answer), w.faults())
	}
	if err := w.faults(); err != nil {
		return err
	}
	fmt.Printf("%s/api/docs/: signed in with a token, tried get-me, read %s and one's own profile\n", at, strings.TrimSpace(status)) //nolint:forbidigo // What a person reads.
	return nil
}

// use does what a reader does, and gives the status and the text that the page
// shows in the end.
func use(ctx context.Context, at, token string) (status, answer string, err error) {
	const (
		operation = "#operations-Users-get-me"
		answered  = operation + " .live-responses-table tbody .response-col_"
	)
	err = chromedp.Do(ctx,
		chromedp.Navigate(at+"/api/docs/"),
		// Log in with the token.
		chromedp.Click(chromedp.CSS(".btn.authorize")),
		chromedp.SendKeys(chromedp.CSS(".modal-ux section input"), token),
		chromedp.Click(chromedp.CSS(".modal-ux .btn.modal-btn.auth.authorize")),
		chromedp.WaitVisible(chromedp.Search(`//div[contains(@class, "modal-ux")]//button[text()="Logout"]`)),
		chromedp.Click(chromedp.CSS(".modal-ux .close-modal")),
		// Try an operation.
		chromedp.Click(chromedp.CSS(operation+" .opblock-summary-control")),
		chromedp.Click(chromedp.CSS(operation+" .btn.execute")),
		chromedp.WaitVisible(chromedp.CSS(answered+"status")),
	)
	if err != nil {
		return "", "", err
	}
	if status, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS(answered+"status"))); err != nil {
		return "", "", err
	}
	answer, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS(answered+"description")))
	return status, answer, err
}

func hostOf(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return at
	}
	return u.Host
}

// witness writes down what goes wrong on a page.
type witness struct {
	host string
	mu   sync.Mutex
	seen []error
}

func (w *witness) see(event any) {
	var fault error
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = fmt.Errorf("the page threw: %s", e.ExceptionDetails.Text)
		if x := e.ExceptionDetails.Exception; x != nil {
			fault = fmt.Errorf("the page threw: %s", x.Description)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" && len(e.Args) > 0 {
			fault = fmt.Errorf("the page complained: %s", e.Args[0].Value)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && u.Scheme != "blob" && u.Host != w.host {
			fault = fmt.Errorf("the page asked %s", e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			fault = fmt.Errorf("%s answered %d", e.Response.URL, e.Response.Status)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			fault = fmt.Errorf("a request failed: %s", e.ErrorText)
		}
	}
	if fault != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, fault)
	}
}

func (w *witness) faults() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.seen...)
}

// register makes an account and gives its access token.
func register(ctx context.Context, at, email string) (string, error) {
	body, err := json.Marshal(map[string]string{"email": email, "password": "difference-engine-2", "first_name": "Ada", "last_name": "Lovelace"})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/api/v1/auth/register/", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("register: %w", err)
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		return "", fmt.Errorf("register: %s (%w)", resp.Status, err)
	}
	return out.AccessToken, nil
}
