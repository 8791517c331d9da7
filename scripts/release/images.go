package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	commitTag = regexp.MustCompile(`^[0-9a-f]{40}$`)
	digest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// unbuilt is the digest of no image: a plan shows a function that has none yet, and
// nothing could start it.
const unbuilt = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// tagList is how gcloud prints tags: a list, before its version 480 a line with
// commas.
type tagList []string

func (l *tagList) UnmarshalJSON(raw []byte) error {
	var line string
	if err := json.Unmarshal(raw, &line); err == nil {
		*l = strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' })
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(l))
}

// Images is what Terraform begins with: for each name the newest image that a release
// pushed, by digest, out of what `gcloud artifacts docker images list --include-tags
// --format=json` prints. A release tags what it builds with the commit; signatures and
// bills of materials lie beside it under other tags. The missing are the names that no
// release built.
func Images(r io.Reader, registry string, names []string) (images map[string]string, missing []string, err error) {
	var list []struct {
		Package    string    `json:"package"`
		Version    string    `json:"version"`
		Tags       tagList   `json:"tags"`
		CreateTime time.Time `json:"createTime"`
	}
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, nil, fmt.Errorf("the registry's list: %w", err)
	}
	images, newest := map[string]string{}, map[string]time.Time{}
	for _, i := range list {
		name, ours := strings.CutPrefix(i.Package, registry+"/")
		if !ours || !slices.ContainsFunc(i.Tags, commitTag.MatchString) {
			continue
		}
		if !digest.MatchString(i.Version) {
			return nil, nil, fmt.Errorf("the registry's list: %s has the version %q, which is no digest", i.Package, i.Version)
		}
		if !i.CreateTime.Before(newest[name]) {
			images[name], newest[name] = i.Package+"@"+i.Version, i.CreateTime
		}
	}
	maps.DeleteFunc(images, func(name, _ string) bool { return !slices.Contains(names, name) })
	for _, name := range names {
		if images[name] == "" {
			missing = append(missing, name)
		}
	}
	return images, missing, nil
}

// ImageVariables is the file of Terraform's variable of that name. A plan may name
// images that are missing; what is applied may not.
func ImageVariables(r io.Reader, registry string, names []string, plan bool) (text []byte, missing []string, err error) {
	images, missing, err := Images(r, registry, names)
	if err != nil {
		return nil, nil, err
	}
	if len(missing) > 0 && !plan {
		return nil, nil, errors.New("no release built an image of " + strings.Join(missing, ", ") + ": release first, which builds and signs it and stops where the service is missing")
	}
	for _, name := range missing {
		images[name] = registry + "/" + name + "@" + unbuilt
	}
	text, err = json.MarshalIndent(map[string]any{"images": images}, "", "  ")
	return append(text, '\n'), missing, err
}
