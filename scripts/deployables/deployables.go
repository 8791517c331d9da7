// Package deployables reads functions/functions.json, the one list of what the
// platform deploys, holds it against the tree, and writes what is derived from
// it: the imports of functions/all, the workspace's modules, the deployment
// steps of cloudbuild.yaml.
//
// To derive one more file, add an [artifact] to artifacts; `functions check`
// and `functions generate` then know it. To add a property, add it to the
// schema beside the list and to [Function].
package deployables

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Where the list, its schema and what is read beside them lie, from the root of
// the repository.
const (
	ListFile   = "functions/functions.json"
	SchemaFile = "functions/functions.schema.json"
	// Module is what every module path of the repository begins with.
	Module = "github.com/coditect/platform"
	// Aggregate is the one function folder that is no function: it imports
	// them all.
	Aggregate = "functions/all"
)

// The kinds of deployable: what calls it.
const (
	KindHTTP     = "http"
	KindTask     = "task"
	KindPubSub   = "pubsub"
	KindSchedule = "schedule"
)

// Function is one entry. The schema documents the properties.
type Function struct {
	Name      string    `json:"name"`
	Folder    string    `json:"folder"`
	Entry     string    `json:"entry"`
	Kind      string    `json:"kind"`
	Auth      string    `json:"auth,omitempty"`
	Raw       bool      `json:"raw,omitempty"`
	Queue     *Queue    `json:"queue,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Ordering  bool      `json:"ordering,omitempty"`
	Retry     *Retry    `json:"retry,omitempty"`
	Cron      string    `json:"cron,omitempty"`
	Timezone  string    `json:"timezone,omitempty"`
	Lateness  string    `json:"max_lateness,omitempty"`
	Resources Resources `json:"resources"`
	Secrets   []string  `json:"secrets"`
	Invokers  []string  `json:"invokers"`
	Database  string    `json:"database"`
}

// Retry is how a delivery that failed is tried again.
type Retry struct {
	MaxAttempts int    `json:"max_attempts"`
	MinBackoff  string `json:"min_backoff"`
	MaxBackoff  string `json:"max_backoff"`
	MaxAge      string `json:"max_age"`
}

// Queue is a Cloud Tasks queue, of the one function it calls.
type Queue struct {
	Retry
	Name        string  `json:"name"`
	Rate        float64 `json:"rate"`
	Concurrency int     `json:"concurrency"`
}

// Resources is what an instance gets.
type Resources struct {
	CPU         string `json:"cpu"`
	Memory      string `json:"memory"`
	Concurrency int    `json:"concurrency"`
	Min         int    `json:"min"`
	Max         int    `json:"max"`
	Timeout     string `json:"timeout"`
}

// ImportPath is the function's module.
func (f Function) ImportPath() string { return Module + "/" + f.Folder }

// Root finds the repository's root from dir upwards: the folder with go.work.
func Root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.work")); err == nil {
			return d, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside the repository: no go.work above it", dir)
		}
	}
}

// Load reads the list under root and holds it against its schema. The error
// names every place that does not fit.
func Load(root string) ([]Function, error) {
	raw, err := os.ReadFile(filepath.Join(root, ListFile))
	if err != nil {
		return nil, err
	}
	if err := conforms(root, raw); err != nil {
		return nil, err
	}
	var list struct {
		Functions []Function `json:"functions"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", ListFile, err)
	}
	return list.Functions, nil
}

func conforms(root string, raw []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%s: %w", ListFile, err)
	}
	text, err := os.ReadFile(filepath.Join(root, SchemaFile))
	if err != nil {
		return err
	}
	definition, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", SchemaFile, err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaFile, definition); err != nil {
		return fmt.Errorf("%s: %w", SchemaFile, err)
	}
	schema, err := c.Compile(SchemaFile)
	if err != nil {
		return fmt.Errorf("%s: %w", SchemaFile, err)
	}
	err = schema.Validate(doc)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		_, text, _ := strings.Cut(invalid.Error(), "\n")
		return fmt.Errorf("%s does not fit its schema:\n%s", ListFile, text)
	}
	return err
}
