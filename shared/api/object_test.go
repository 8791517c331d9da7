package api

import (
	"encoding/json"
	"testing"
)

// TestMerge has the cases of RFC 7396, appendix A, whose sides are objects.
func TestMerge(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"a":"foo"}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":12345678901234567890}`, `{}`, `{"n":12345678901234567890}`},
	} {
		var target, patch Object
		for text, into := range map[string]*Object{c[0]: &target, c[1]: &patch} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := json.Marshal(target)
		got, err := json.Marshal(target.Merge(patch))
		if err != nil || string(got) != c[2] {
			t.Errorf("%s with %s is %s (%v), want %s", c[0], c[1], got, err, c[2])
		}
		if after, _ := json.Marshal(target); string(after) != string(before) {
			t.Errorf("merging changed %s to %s", before, after)
		}
	}
	var o Object
	for _, text := range []string{`null`, `[]`, `1`, `"x"`} {
		if json.Unmarshal([]byte(text), &o) == nil {
			t.Errorf("%s passes for an object", text)
		}
	}
	if empty, err := json.Marshal(struct{ O Object }{}); err != nil || string(empty) != `{"O":{}}` {
		t.Errorf("no object is %s (%v)", empty, err)
	}
}
