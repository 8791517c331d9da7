package deployables

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Add writes an entry into the list, at its place by name, and leaves every
// other line as people wrote it.
func Add(root string, f Function) error {
	list, err := Load(root)
	if err != nil {
		return err
	}
	file := filepath.Join(root, ListFile)
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(raw)
	entry, err := lines(f)
	if err != nil {
		return err
	}
	at, after := -1, ""
	for _, other := range list {
		if other.Name == f.Name {
			return fmt.Errorf("%s has a function %q", ListFile, f.Name)
		}
		if other.Name > f.Name {
			at, after = strings.Index(text, `    {"name": "`+other.Name+`"`), ",\n"
			break
		}
	}
	if after == "" { // the last one: after the comma that the one before it lacks
		at = strings.LastIndex(text, "\n  ]")
		entry = ",\n" + entry
	}
	if at < 0 {
		return fmt.Errorf("%s is not laid out one entry after the other: add %q by hand", ListFile, f.Name)
	}
	return os.WriteFile(file, []byte(text[:at]+entry+after+text[at:]), 0o644)
}

// lines lays an entry out as the list does: what it is, what it gets, what it
// may do.
func lines(f Function) (string, error) {
	var b strings.Builder
	first := true
	put := func(sep, key string, v any) error {
		var raw bytes.Buffer
		e := json.NewEncoder(&raw)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
		if !first {
			b.WriteString("," + sep)
		}
		first = false
		// As people write it: a blank after each colon and comma.
		value := strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(strings.TrimSpace(raw.String()))
		fmt.Fprintf(&b, "%q: %s", key, value)
		return nil
	}
	b.WriteString("    {")
	for _, p := range []struct {
		sep, key string
		value    any
	}{
		{"", "name", f.Name}, {" ", "folder", f.Folder}, {" ", "entry", f.Entry}, {" ", "kind", f.Kind}, {" ", "auth", f.Auth},
		{"\n     ", "resources", f.Resources},
		{"\n     ", "secrets", f.Secrets}, {" ", "invokers", f.Invokers}, {" ", "database", f.Database},
	} {
		if err := put(p.sep, p.key, p.value); err != nil {
			return "", err
		}
	}
	b.WriteString("}")
	return b.String(), nil
}
