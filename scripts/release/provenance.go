package release

import (
	"encoding/json"
	"time"
)

// Build is what a provenance statement tells of an image.
type Build struct {
	ID, Repository, Commit, Builder, Name string
	Started                               time.Time
}

// Provenance is the SLSA 1.0 predicate of an image: from which commit, by which
// steps, by which build.
func Provenance(b Build) ([]byte, error) {
	type descriptor struct {
		URI    string            `json:"uri"`
		Digest map[string]string `json:"digest"`
	}
	type object = map[string]any
	return json.MarshalIndent(object{
		"buildDefinition": object{
			"buildType":            "https://github.com/coditect/platform/cloudbuild.yaml",
			"externalParameters":   object{"repository": b.Repository, "image": b.Name},
			"internalParameters":   object{},
			"resolvedDependencies": []descriptor{{URI: "git+" + b.Repository, Digest: map[string]string{"gitCommit": b.Commit}}},
		},
		"runDetails": object{
			"builder":  object{"id": b.Builder},
			"metadata": object{"invocationId": b.ID, "startedOn": b.Started.UTC().Format(time.RFC3339)},
		},
	}, "", "  ")
}
