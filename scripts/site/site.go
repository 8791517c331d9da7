// Package site renders the documents of this repository as a site: pages that link
// each other, with a list of all of them, and nothing that is fetched from elsewhere.
//
// A link to a document leads to its page, one to any other file to the repository;
// one that leads nowhere, or to a heading that is not there, is an error. What is a
// page is in [sections]: to add a group of documents, add it there.
package site

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// Repository is where files are that are no pages.
const Repository = "https://github.com/coditect/platform/blob/main/"

// sections are the groups of documents, each with the files that it takes, from
// the root; a file belongs to the first that takes it.
var sections = []struct{ title, pattern string }{
	{"Start", "README.md"},
	{"Start", "CONTRIBUTING.md"},
	{"Start", "CHANGELOG.md"},
	{"Start", "CODE_OF_CONDUCT.md"},
	{"Documents", "docs/*.md"},
	{"Decisions", "docs/decisions/*.md"},
	{"Runbooks", "docs/runbooks/*.md"},
	{"The document of the API", "docs/openapi/*.md"},
	{"Terraform", "terraform/kubernetes/README.md"},
	{"Terraform", "terraform/modules/*/README.md"},
}

var (
	//go:embed page.html.tmpl
	pageText string
	//go:embed style.css
	style []byte

	page = template.Must(template.New("page").Parse(pageText))
)

// A document is a page: where it comes from, and where it goes.
type document struct {
	Section, Source, Target, Title string

	markdown []byte
	tree     ast.Node
	anchors  map[string]bool
}

// Build writes the site of the tree under root into the folder out.
func Build(root, out string) error {
	documents, err := collect(os.DirFS(root))
	if err != nil {
		return err
	}
	targets := map[string]*document{}
	for _, d := range documents {
		targets[d.Source] = d
	}
	render := markdown()
	for _, d := range documents {
		d.tree = render.Parser().Parse(text.NewReader(d.markdown))
		d.anchors = anchors(d.tree)
		d.Title = title(d.tree, d.markdown)
		if d.Title == "" {
			return fmt.Errorf("%s has no heading", d.Source)
		}
	}
	var faults []error
	for _, d := range documents {
		faults = append(faults, relink(os.DirFS(root), d, targets)...)
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, d := range documents {
		if err := write(out, d, documents, render); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(out, "style.css"), style, 0o644)
}

func markdown() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
}

func collect(tree fs.FS) ([]*document, error) {
	var out []*document
	taken := map[string]bool{}
	for _, s := range sections {
		files, err := fs.Glob(tree, s.pattern)
		if err != nil {
			return nil, err
		}
		// A folder's own page first.
		slices.SortStableFunc(files, func(a, b string) int {
			return boolean(path.Base(b) == "README.md") - boolean(path.Base(a) == "README.md")
		})
		for _, f := range files {
			if taken[f] {
				continue
			}
			taken[f] = true
			raw, err := fs.ReadFile(tree, f)
			if err != nil {
				return nil, err
			}
			out = append(out, &document{Section: s.title, Source: f, Target: target(f), markdown: raw})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there are no documents here")
	}
	return out, nil
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// target is a document's place on the site: a README is its folder's page.
func target(source string) string {
	if path.Base(source) == "README.md" {
		return path.Join(path.Dir(source), "index.html")
	}
	return strings.TrimSuffix(source, ".md") + ".html"
}

func anchors(tree ast.Node) map[string]bool {
	out := map[string]bool{}
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering {
			if id, ok := h.AttributeString("id"); ok {
				if raw, ok := id.([]byte); ok {
					out[string(raw)] = true
				}
			}
		}
		return ast.WalkContinue, nil
	})
	return out
}

// title is the words of the first heading.
func title(tree ast.Node, source []byte) string {
	for n := tree.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level == 1 {
			return words(h, source)
		}
	}
	return ""
}

func words(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

var elsewhere = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)

// relink turns the links of a document into those of its page, and names those that
// lead nowhere.
func relink(tree fs.FS, d *document, targets map[string]*document) []error {
	var faults []error
	_ = ast.Walk(d.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			to, err := leads(tree, d, string(n.Destination), targets)
			if err != nil {
				faults = append(faults, err)
			}
			n.Destination = []byte(to)
		case *ast.Image:
			// It would be fetched from elsewhere, or not be there.
			faults = append(faults, fmt.Errorf("%s: the image %s: the site copies none", d.Source, n.Destination))
		}
		return ast.WalkContinue, nil
	})
	return faults
}

// leads is where a link of a document leads on the site.
func leads(tree fs.FS, d *document, link string, targets map[string]*document) (string, error) {
	if elsewhere.MatchString(link) {
		return link, nil
	}
	file, anchor, pointed := strings.Cut(link, "#")
	to := path.Join(path.Dir(d.Source), file)
	if file == "" {
		to = d.Source
	}
	if other, ok := targets[to]; ok {
		if pointed && !other.anchors[anchor] {
			return "", fmt.Errorf("%s: %s has no heading %q", d.Source, to, anchor)
		}
		if file == "" {
			return "#" + anchor, nil
		}
		return relative(d.Target, other.Target) + strings.TrimPrefix(link, file), nil
	}
	if _, err := fs.Stat(tree, to); err != nil {
		return "", fmt.Errorf("%s: %q leads nowhere", d.Source, link)
	}
	return Repository + to + strings.TrimPrefix(link, file), nil
}

// relative is the way from one page to another.
func relative(from, to string) string {
	up := strings.Repeat("../", strings.Count(from, "/"))
	return up + to
}

type entry struct {
	Title, Href string
	Here        bool
}

type group struct {
	Title   string
	Entries []entry
}

func write(out string, d *document, all []*document, render goldmark.Markdown) error {
	var body bytes.Buffer
	if err := render.Renderer().Render(&body, d.markdown, d.tree); err != nil {
		return fmt.Errorf("%s: %w", d.Source, err)
	}
	var groups []group
	for _, o := range all {
		if len(groups) == 0 || groups[len(groups)-1].Title != o.Section {
			groups = append(groups, group{Title: o.Section})
		}
		g := &groups[len(groups)-1]
		g.Entries = append(g.Entries, entry{o.Title, relative(d.Target, o.Target), o == d})
	}
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]any{
		"Title": d.Title, "Groups": groups, "Style": relative(d.Target, "style.css"), "Source": Repository + d.Source,
		// Rendered from our own documents, without raw HTML.
		"Body": template.HTML(body.String()),
	}); err != nil {
		return err
	}
	file := filepath.Join(out, filepath.FromSlash(d.Target))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
