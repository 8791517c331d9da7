package site

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	href = regexp.MustCompile(`href="([^"]*)"`)
	ids  = regexp.MustCompile(` id="([^"]*)"`)
)

// The site of this repository: each page is there, each link within it leads to a
// page and a heading, and nothing is fetched from another host.
func TestRepository(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := Build("../..", out); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	if err := filepath.WalkDir(out, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(out, p)
		pages[filepath.ToSlash(name)] = string(raw)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"index.html", "docs/ARCHITECTURE.html", "docs/runbooks/index.html", "terraform/modules/gke/index.html", "style.css"} {
		if pages[want] == "" {
			t.Errorf("%s is missing", want)
		}
	}
	for name, text := range pages {
		if strings.Contains(text, "<script") || strings.Contains(text, " src=") || strings.Contains(text, "@import") {
			t.Errorf("%s loads something", name)
		}
		for _, m := range href.FindAllStringSubmatch(text, -1) {
			link := m[1]
			if elsewhere.MatchString(link) {
				continue
			}
			file, anchor, pointed := strings.Cut(link, "#")
			to := path.Join(path.Dir(name), file)
			if file == "" {
				to = name
			}
			other, there := pages[to]
			if !there {
				t.Errorf("%s: %s leads nowhere", name, link)
			}
			if pointed && !strings.Contains(other, ` id="`+anchor+`"`) {
				t.Errorf("%s: %s has no %s", name, to, anchor)
			}
		}
		seen := map[string]bool{}
		for _, m := range ids.FindAllStringSubmatch(text, -1) {
			if seen[m[1]] {
				t.Errorf("%s: two headings are %s", name, m[1])
			}
			seen[m[1]] = true
		}
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		page  string
		has   []string
		err   string
	}{
		"links": {
			map[string]string{
				"README.md":               "# The *whole*\n\n[a](docs/a.md#part-two) [file](main.go) [out](https://example.com/x#y) [self](#the-whole)\n\n| a | b |\n| - | - |\n| 1 | 2 |\n",
				"docs/a.md":               "# A\n\n## Part two\n\n[up](../README.md) [b](runbooks/README.md)\n",
				"docs/runbooks/README.md": "# B & <b>\n",
				"main.go":                 "",
			},
			"index.html",
			[]string{
				`href="docs/a.html#part-two"`, `href="` + Repository + `main.go"`, `href="https://example.com/x#y"`, `href="#the-whole"`,
				"<title>The whole · Coditect Platform</title>", "<table>", `aria-current="page"`, `href="docs/runbooks/index.html">B &amp; `,
			}, "",
		},
		"from below":        {map[string]string{"README.md": "# R\n", "docs/a.md": "# A\n\n[up](../README.md)\n"}, "docs/a.html", []string{`<a href="../index.html">up</a>`, `href="../style.css"`, `<a href="../docs/a.html" aria-current="page">`}, ""},
		"raw HTML":          {map[string]string{"README.md": "# R\n\n<script>alert(1)</script>\n"}, "index.html", []string{"<!-- raw HTML omitted -->"}, ""},
		"a link to nowhere": {map[string]string{"README.md": "# R\n\n[x](gone.md)\n"}, "", nil, `README.md: "gone.md" leads nowhere`},
		"out of the tree":   {map[string]string{"README.md": "# R\n\n[x](../gone.md)\n"}, "", nil, "leads nowhere"},
		"no such heading":   {map[string]string{"README.md": "# R\n\n[x](#gone)\n"}, "", nil, `README.md has no heading "gone"`},
		"an image":          {map[string]string{"README.md": "# R\n\n![x](x.png)\n"}, "", nil, "copies none"},
		"no title":          {map[string]string{"README.md": "words\n"}, "", nil, "README.md has no heading"},
		"nothing":           {nil, "", nil, "no documents"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, out := t.TempDir(), t.TempDir()
			for file, text := range c.files {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Build(root, out)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			page, err := os.ReadFile(filepath.Join(out, c.page))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.has {
				if !strings.Contains(string(page), want) {
					t.Errorf("no %s in\n%s", want, page)
				}
			}
			if strings.Contains(string(page), "alert(1)</script>") {
				t.Error("raw HTML came through")
			}
		})
	}
}
