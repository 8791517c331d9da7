// Package sam holds aws/template.yaml, which `make generate` writes, to what
// CloudFormation knows: every property of every resource is decoded into a type,
// and one that the type lacks is an error.
//
// To use one more kind of resource, add it to [Template] and [Decode]. Only the
// packages of goformation that are needed are imported: all of them take minutes to
// compile.
package sam

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/awslabs/goformation/v7/cloudformation/serverless"
	"github.com/awslabs/goformation/v7/cloudformation/sqs"
	"github.com/awslabs/goformation/v7/intrinsics"
)

// File is the template, from the root of the repository.
const File = "aws/template.yaml"

// Template is what the file holds.
type Template struct {
	Functions map[string]*serverless.Function
	Queues    map[string]*sqs.Queue
}

// resolving is held while references are resolved: the library writes the tags
// that it knows into a map of its package each time.
var resolving sync.Mutex

// Decode reads a template strictly. Its references are resolved first.
func Decode(text []byte) (*Template, error) {
	resolving.Lock()
	resolved, err := intrinsics.ProcessYAML(text, nil)
	resolving.Unlock()
	if err != nil {
		return nil, err
	}
	var parts struct {
		Globals   map[string]json.RawMessage
		Resources map[string]json.RawMessage
	}
	if err := json.Unmarshal(resolved, &parts); err != nil {
		return nil, err
	}
	out := &Template{Functions: map[string]*serverless.Function{}, Queues: map[string]*sqs.Queue{}}
	var faults []error
	for name, raw := range parts.Resources {
		var kind struct{ Type string }
		if err := json.Unmarshal(raw, &kind); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		switch kind.Type {
		case "AWS::Serverless::Function":
			out.Functions[name] = &serverless.Function{}
			err = json.Unmarshal(raw, out.Functions[name])
		case "AWS::SQS::Queue":
			out.Queues[name] = &sqs.Queue{}
			err = json.Unmarshal(raw, out.Queues[name])
		default:
			err = fmt.Errorf("a resource of type %q", kind.Type)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	for kind, raw := range parts.Globals {
		whole, err := json.Marshal(map[string]any{"Type": "AWS::Serverless::" + kind, "Properties": raw})
		if err == nil {
			err = json.Unmarshal(whole, &serverless.Function{})
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("the section Globals.%s: %w", kind, err))
		}
	}
	return out, errors.Join(faults...)
}
