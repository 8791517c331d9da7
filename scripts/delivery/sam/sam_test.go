package sam

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

type function struct {
	Name, Entry, Kind, Cron string
	Queue                   *struct {
		MaxAttempts int `json:"max_attempts"`
	}
	Resources struct{ Max int }
	Database  string
}

func list(t *testing.T) []function {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "functions", "functions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var l struct{ Functions []function }
	if err := json.Unmarshal(raw, &l); err != nil || len(l.Functions) == 0 {
		t.Fatal("no functions", err)
	}
	return l.Functions
}

func template(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestEveryFunctionIsThere(t *testing.T) {
	t.Parallel()
	decoded, err := Decode(template(t))
	if err != nil {
		t.Fatal(err)
	}
	functions := decoded.Functions
	queues := decoded.Queues
	all := list(t)
	if len(functions) != len(all) {
		t.Errorf("%d functions of %d", len(functions), len(all))
	}
	for _, want := range all {
		f := functions[want.Entry]
		if f == nil {
			t.Errorf("%s is missing", want.Name)
			continue
		}
		if f.ReservedConcurrentExecutions == nil || *f.ReservedConcurrentExecutions != want.Resources.Max {
			t.Errorf("%s runs without the bound of %d", want.Name, want.Resources.Max)
		}
		if f.Timeout == nil || *f.Timeout > 900 || f.MemorySize == nil || *f.MemorySize < 512 {
			t.Errorf("%s: %v seconds, %v MB", want.Name, f.Timeout, f.MemorySize)
		}
		system := false
		if f.Environment != nil {
			_, system = f.Environment.Variables["SYSTEM_DATABASE_URL"]
		}
		if system != (want.Database == "system" || want.Database == "both") {
			t.Errorf("%s: the role that crosses tenants: %v", want.Name, system)
		}
		switch want.Kind {
		case "http":
			if f.FunctionUrlConfig == nil || len(f.Events) > 0 {
				t.Errorf("%s has no address", want.Name)
			}
		case "schedule":
			if f.FunctionUrlConfig != nil || f.Events["Clock"].Type != "ScheduleV2" {
				t.Errorf("%s is called by %v", want.Name, f.Events)
			}
		default:
			if f.FunctionUrlConfig != nil || f.Events["Messages"].Type != "SQS" {
				t.Errorf("%s is called by %v", want.Name, f.Events)
			}
			q := queues[want.Entry+"Queue"]
			if q == nil || q.RedrivePolicy == nil || q.VisibilityTimeout == nil || *q.VisibilityTimeout < 6**f.Timeout {
				t.Errorf("%s: its queue %+v", want.Name, q)
			}
			if queues[want.Entry+"Dead"] == nil {
				t.Errorf("%s has nowhere for dead letters", want.Name)
			}
		}
	}
}

// The relay sends to the queues that there are: by their names, with the right to.
func TestTheRelayReachesEveryQueue(t *testing.T) {
	t.Parallel()
	text := string(template(t))
	_, relay, there := strings.Cut(text, "\n  Outboxrelay:\n")
	relay, _, _ = strings.Cut(relay, "\n\n")
	address := regexp.MustCompile(`SQS_QUEUE_URL: !Sub "https://sqs\.\$\{AWS::Region\}\.\$\{AWS::URLSuffix\}/\$\{AWS::AccountId\}/([^"]+)"`).FindStringSubmatch(relay)
	if !there || address == nil || !strings.Contains(relay, "Action: [sqs:SendMessage]") {
		t.Fatalf("the relay knows no queues:\n%s", relay)
	}
	if n := strings.Count(text, "SQS_QUEUE_URL"); n != 1 {
		t.Errorf("%d functions send", n)
	}
	for _, f := range list(t) {
		name := `QueueName: !Sub "` + strings.ReplaceAll(address[1], "{name}", f.Name) + `"`
		right := "- !GetAtt " + f.Entry + "Queue.Arn"
		if queue := f.Kind == "task" || f.Kind == "pubsub"; strings.Contains(text, name) != queue || strings.Contains(relay, right) != queue {
			t.Errorf("%s: its queue is called so: %v; the relay may send: %v", f.Name, strings.Contains(text, name), strings.Contains(relay, right))
		}
	}
	decoded, err := Decode(template(t))
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Functions["Outboxrelay"].Policies == nil {
		t.Error("the policy is no policy")
	}
}

func TestUnknownPropertiesAreErrors(t *testing.T) {
	t.Parallel()
	text := string(template(t))
	for _, tt := range [][2]string{
		{"      MemorySize:", "      MemorySise:"},
		{"VisibilityTimeout:", "VisibilityTimeOut2:"},
		{"Timeout: 30", "Timeout: [30]"},
		{"AuthType: NONE", "AuthKind: NONE"},
	} {
		if !strings.Contains(text, tt[0]) {
			t.Fatalf("no %q", tt[0])
		}
		if _, err := Decode([]byte(strings.Replace(text, tt[0], tt[1], 1))); err == nil {
			t.Errorf("%q is taken", tt[1])
		}
	}
}
