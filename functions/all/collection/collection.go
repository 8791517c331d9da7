// Package collection writes the platform's operations as a collection for
// Postman, from the OpenAPI document: every operation in an order in which all
// succeed, with variables that earlier answers fill, and with tests of its
// status and of its body's schema.
//
// Most requests are the document's examples. Where one needs more (a password
// that is right, a token that was mailed, a status other than the usual) it has
// a recipe in recipes.go; so has the order of what cannot be undone. `newman`
// runs the whole against a platform that `make run` started: scripts/journey.sh.
package collection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/coditect/platform/functions/all/openapi"
)

// step is one request of the collection.
type step struct {
	op *openapi.Operation
	recipe
}

// folder is one stage of the journey.
type folder struct {
	name, about string
	steps       []step
}

// Write gives the collection and the environment that goes with it.
func Write(document []byte) (items, environment []byte, err error) {
	doc, err := openapi.Read(document)
	if err != nil {
		return nil, nil, err
	}
	folders, err := plan(doc)
	if err != nil {
		return nil, nil, err
	}
	out := object{
		"info": object{
			"name":        "Coditect Platform",
			"description": "Every operation of the API, in an order in which all of them succeed. Run it whole, or sign in with the first folder and try one.\n\nMade from the OpenAPI document by `make generate`: change functions/all/collection.",
			"schema":      "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
		},
		"auth": object{"type": "bearer", "bearer": []any{object{"key": "token", "value": "{{access_token}}", "type": "string"}}},
	}
	var list []any
	for _, f := range folders {
		requests := make([]any, 0, len(f.steps))
		for _, s := range f.steps {
			for _, r := range s.first {
				requests = append(requests, step{doc.Operation(r.id), r}.item(doc))
			}
			requests = append(requests, s.item(doc))
		}
		list = append(list, object{"name": f.name, "description": f.about, "item": requests})
	}
	out["item"] = list
	if items, err = encode(out); err != nil {
		return nil, nil, err
	}
	values := []any{}
	for _, v := range variables {
		values = append(values, object{"key": v.name, "value": v.value, "description": v.about, "enabled": true})
	}
	environment, err = encode(object{"name": "Coditect Platform, local", "values": values, "_postman_variable_scope": "environment"})
	return items, environment, err
}

type object = map[string]any

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(v)
	return out.Bytes(), err
}

// plan puts every operation into a folder, after what it needs.
func plan(doc *openapi.Document) ([]folder, error) {
	placed := map[string]bool{}
	fixed := func(name, about string, from []recipe) (folder, error) {
		f := folder{name: name, about: about}
		for _, r := range from {
			op := doc.Operation(r.id)
			if op == nil {
				return f, fmt.Errorf("collection: there is no operation %s: change recipes.go", r.id)
			}
			placed[r.id] = true
			f.steps = append(f.steps, step{op, r})
		}
		return f, nil
	}
	first, err := fixed("1 Sign in", "An account with an organization, and a session in it.", opening)
	if err != nil {
		return nil, err
	}
	pay, err := fixed("8 Pay", "A subscription, its cards and its end.", paying)
	if err != nil {
		return nil, err
	}
	last, err := fixed("9 Leave", "What ends sessions, passwords, memberships, organizations and accounts.", closing)
	if err != nil {
		return nil, err
	}
	for id := range recipes {
		if doc.Operation(id) == nil {
			return nil, fmt.Errorf("collection: there is no operation %s: change recipes.go", id)
		}
	}
	known := map[string]bool{"user": true, "tenant": true, "": true}
	gather := func(name, about string, fits func(*openapi.Operation) bool) folder {
		f := folder{name: name, about: about}
		var rest []*openapi.Operation
		for _, op := range doc.Operations {
			if !placed[op.ID] && fits(op) {
				placed[op.ID] = true
				rest = append(rest, op)
			}
		}
		for len(rest) > 0 {
			// The first whose things have been made; else the first.
			i := max(0, slices.IndexFunc(rest, func(op *openapi.Operation) bool {
				return !slices.ContainsFunc(needs(op), func(kind string) bool { return !known[kind] })
			}))
			op := rest[i]
			rest = slices.Delete(rest, i, i+1)
			if op.Success == http.StatusAccepted {
				known["job"] = true
			}
			known[op.Collection()] = true
			f.steps = append(f.steps, step{op, recipes[op.ID]})
		}
		return f
	}
	restores := func(op *openapi.Operation) bool { return strings.HasSuffix(op.Path, "/restore/") }
	out := []folder{
		first,
		gather("2 Create", "One of everything.", func(op *openapi.Operation) bool {
			return op.Method == http.MethodPost && (op.Success == http.StatusCreated || op.Success == http.StatusAccepted)
		}),
		gather("3 Read", "Lists and single things.", func(op *openapi.Operation) bool { return op.Method == http.MethodGet }),
		gather("4 Change", "Whole (PUT) or in parts (PATCH).", func(op *openapi.Operation) bool { return op.Method == http.MethodPut || op.Method == http.MethodPatch }),
		gather("5 Act", "What is done to things.", func(op *openapi.Operation) bool { return op.Method == http.MethodPost && !restores(op) }),
		gather("6 Delete", "The last made first.", func(op *openapi.Operation) bool { return op.Method == http.MethodDelete }),
		gather("7 Restore", "What was deleted.", func(*openapi.Operation) bool { return true }),
		pay,
		last,
	}
	// What hangs on something goes before it.
	made := map[string]int{}
	for i, s := range out[1].steps {
		made[s.op.Collection()] = i
	}
	slices.SortStableFunc(out[5].steps, func(a, b step) int { return made[b.op.Kind("id")] - made[a.op.Kind("id")] })
	return out, nil
}

// needs lists the kinds of things that a request names.
func needs(op *openapi.Operation) []string {
	var out []string
	for _, p := range op.Parameters {
		if p.In == "path" {
			out = append(out, op.Kind(p.Name))
		}
	}
	return out
}

// variable names the one that holds a thing's id.
func variable(kind string) string {
	if kind == "user" {
		return "member_id" // user_id is one's own
	}
	return strings.ReplaceAll(kind, "-", "_") + "_id"
}

func (s step) item(doc *openapi.Document) object {
	request := object{"method": s.op.Method, "description": strings.TrimSpace(s.op.Description), "url": s.url()}
	header := []any{}
	if s.op.Body != nil {
		media := s.op.Body.Media[0]
		header = append(header, object{"key": "Content-Type", "value": media})
		request["body"] = object{"mode": "raw", "raw": s.bodyText(), "options": object{"raw": object{"language": "json"}}}
	}
	for _, p := range s.op.Parameters {
		if p.In == "header" {
			value := map[string]string{"Idempotency-Key": "{{$guid}}", "X-Tenant-ID": "{{tenant_id}}"}[p.Name]
			header = append(header, object{"key": p.Name, "value": value, "description": p.Description, "disabled": p.Name != "Idempotency-Key"})
		}
	}
	request["header"] = header
	switch {
	case s.token != "":
		request["auth"] = object{"type": "bearer", "bearer": []any{object{"key": "token", "value": "{{" + s.token + "}}", "type": "string"}}}
	case s.op.Public:
		request["auth"] = object{"type": "noauth"}
	}
	events := []any{}
	if len(s.before) > 0 {
		events = append(events, script("prerequest", s.before))
	}
	events = append(events, script("test", s.tests(doc)))
	name := s.op.Summary
	if s.name != "" {
		name = s.name
	}
	return object{"name": name, "request": request, "event": events, "response": []any{}}
}

func script(when string, lines []string) object {
	return object{"listen": when, "script": object{"type": "text/javascript", "exec": strings.Split(strings.Join(lines, "\n"), "\n")}}
}

func (s step) url() object {
	var steps []string
	for part := range strings.SplitSeq(strings.Trim(s.op.Path, "/"), "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			part = "{{" + variable(s.op.Kind(name)) + "}}"
		}
		steps = append(steps, part)
	}
	if strings.HasSuffix(s.op.Path, "/") {
		steps = append(steps, "")
	}
	raw := "{{base_url}}/" + strings.Join(steps, "/")
	out := object{"host": []any{"{{base_url}}"}, "path": steps}
	var query []any
	var sent []string
	for _, p := range s.op.Parameters {
		if p.In != "query" {
			continue
		}
		value, used := s.query[p.Name]
		if used {
			sent = append(sent, p.Name+"="+value)
		}
		query = append(query, object{"key": p.Name, "value": value, "description": p.Description, "disabled": !used})
	}
	if len(query) > 0 {
		out["query"] = query
	}
	if len(sent) > 0 {
		raw += "?" + strings.Join(sent, "&")
	}
	out["raw"] = raw
	return out
}

// bodyText is the document's example, with variables for ids, and what the
// recipe has in place of some members.
func (s step) bodyText() string {
	v := s.op.Body.Example
	if m, ok := v.(object); ok {
		filled := object{}
		for name, value := range m {
			if kind := openapi.Reference(name); kind != "" {
				value = "{{" + variable(kind) + "}}"
				if kind == "user" {
					value = "{{user_id}}"
				}
			}
			filled[name] = value
		}
		for name, value := range s.body {
			if value == nil {
				delete(filled, name)
				continue
			}
			filled[name] = value
		}
		v = filled
	}
	raw, err := encode(v)
	if err != nil {
		return ""
	}
	// A number must not become a text.
	return numbered.Replace(strings.TrimSpace(string(raw)))
}

var numbered = strings.NewReplacer(`"{{upload_size}}"`, "{{upload_size}}")

// tests are the assertions, and what is kept of the answer.
func (s step) tests(doc *openapi.Document) []string {
	expect := s.expect
	if len(expect) == 0 {
		expect = []int{s.op.Success}
	}
	schemas := object{}
	for _, status := range expect {
		schemas[strconv.Itoa(status)] = nil
		if r := s.op.Responses[status]; r != nil {
			for media, m := range r.Content {
				schemas[strconv.Itoa(status)] = object{"media": media, "schema": inline(doc, m.Schema, 0)}
			}
		}
	}
	raw, err := json.Marshal(schemas)
	if err != nil {
		return []string{`pm.test("the schema can be written", () => pm.expect.fail());`}
	}
	words := make([]string, 0, len(expect))
	for _, status := range expect {
		words = append(words, strconv.Itoa(status))
	}
	lines := []string{
		"const promised = " + string(raw) + ";",
		`const answer = promised[pm.response.code];`,
		fmt.Sprintf(`pm.test(%q, () => pm.expect(pm.response.code, pm.response.text()).to.be.oneOf([%s]));`, "answers "+strings.Join(words, " or "), strings.Join(words, ", ")),
		`pm.test("has a request id", () => pm.response.to.have.header("X-Request-Id"));`,
		`let body = {};`,
		`if (answer) {`,
		`  pm.test("is of the documented type", () => pm.expect(pm.response.headers.get("Content-Type")).to.include(answer.media));`,
		`  body = pm.response.json();`,
		`  pm.test("matches its schema", () => pm.expect(body).to.have.jsonSchema(answer.schema, {unknownFormats: "ignore"}));`,
		`} else if (pm.response.code in promised) {`,
		`  pm.test("has no body", () => pm.expect(pm.response.text()).to.equal(""));`,
		`}`,
	}
	return append(append(lines, s.saves()...), s.then...)
}

// saves keeps the ids and tokens of an answer for later requests.
func (s step) saves() []string {
	var lines []string
	success := s.op.Responses[s.op.Success]
	if success == nil {
		return nil
	}
	if slices.Contains(success.Headers, "Location") && s.keep == "" {
		lines = append(lines, `const at = (pm.response.headers.get("Location") || "").match(/\/([a-z-]+?)s?\/([0-9a-f-]{36})\/$/);`)
		switch kind := s.op.Collection(); kind {
		case "user":
			lines = append(lines, `if (at) pm.environment.set("member_id", at[2]);`)
		default:
			lines = append(lines, `if (at) pm.environment.set(at[1].replace(/-/g, "_") + "_id", at[2]);`)
		}
	}
	media := success.Content[openapi.JSON]
	if media == nil {
		return lines
	}
	properties, _ := media.Schema["properties"].(object)
	kind := s.op.Collection()
	switch {
	case s.keep != "":
		lines = append(lines, fmt.Sprintf(`if (body.id) pm.environment.set(%q, body.id);`, s.keep))
	case properties["id"] != nil && kind != "" && s.op.Method == http.MethodPost:
		lines = append(lines, fmt.Sprintf(`if (body.id) pm.environment.set(%q, body.id);`, variable(kind)))
	case properties["results"] != nil && kind != "" && kind != "tenant":
		lines = append(lines, fmt.Sprintf(`if (!pm.environment.get(%[1]q) && body.results && body.results.length) pm.environment.set(%[1]q, body.results[0].id);`, variable(kind)))
	}
	if properties["access_token"] != nil {
		prefix := s.as
		for _, name := range []string{"access_token", "refresh_token"} {
			lines = append(lines, fmt.Sprintf(`if (body.%[1]s) pm.environment.set(%[2]q, body.%[1]s);`, name, prefix+name))
		}
		for _, name := range []string{"user", "tenant"} {
			if properties[name] != nil {
				lines = append(lines, fmt.Sprintf(`if (body.%[1]s) pm.environment.set(%[2]q, body.%[1]s.id);`, name, prefix+name+"_id"))
			}
		}
	}
	return lines
}

// told are the words of a schema that say what holds; the others say why.
var told = map[string]bool{
	"type": true, "enum": true, "const": true, "required": true, "minimum": true, "maximum": true, "minLength": true, "maxLength": true, "minItems": true, "maxItems": true, "pattern": true,
}

// inline gives a schema without references, as the runner's validator has no
// document to look them up in.
func inline(doc *openapi.Document, schema object, depth int) any {
	schema = doc.Resolve(schema)
	if depth > 12 {
		return object{}
	}
	out := object{}
	for word, v := range schema {
		switch sub, _ := v.(object); {
		case told[word]:
			out[word] = v
		case word == "format" && v != "int64" && v != "int32" && v != "double" && v != "float":
			out[word] = v
		case word == "properties":
			inlined := object{}
			for name, p := range sub {
				of, _ := p.(object)
				inlined[name] = inline(doc, of, depth+1)
			}
			out[word] = inlined
		case (word == "items" || word == "additionalProperties" || word == "not") && sub != nil:
			out[word] = inline(doc, sub, depth+1)
		case word == "additionalProperties":
			out[word] = v
		case word == "anyOf" || word == "oneOf" || word == "allOf":
			choices, _ := v.([]any)
			inlined := []any{}
			for _, c := range choices {
				of, _ := c.(object)
				inlined = append(inlined, inline(doc, of, depth+1))
			}
			out[word] = inlined
		}
	}
	return out
}
