package houselint

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (f *file) inspect(visit func(ast.Node) bool) { ast.Inspect(f.syntax, visit) }

func envRead(f *file) {
	if f.workshop() || f.command() || f.in("shared/config") {
		return
	}
	readers := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv"}
	f.inspect(func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if pkg, name := f.called(e); (pkg == "os" || pkg == "syscall") && slices.Contains(readers, name) {
				f.report(e.Pos(), "%s.%s outside shared/config and cmd/", pkg, name)
			}
		}
		return true
	})
}

func dbConnect(f *file) {
	if f.workshop() || f.in("shared/db", "migrations") {
		return
	}
	for _, i := range f.imports {
		if i.path == "github.com/jackc/pgx/v5/pgxpool" || i.path == "github.com/jackc/pgx/v5/stdlib" {
			f.report(i.pos, "%s outside shared/db", i.path)
		}
	}
	f.inspect(func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok {
			pkg, name := f.called(e)
			direct := within(pkg, "github.com/jackc/pgx") && strings.HasPrefix(name, "Connect")
			if direct || pkg == "database/sql" && strings.HasPrefix(name, "Open") {
				f.report(e.Pos(), "%s.%s outside shared/db", path.Base(pkg), name)
			}
		}
		return true
	})
}

// statement recognises SQL. Sentences begin with a capital and go on in small
// letters, so a word in one case decides much.
var statement = regexp.MustCompile(`^\s*(?:` +
	`select\s[\s\S]*?\sfrom\s|select\s+[a-z_.]+\(|select\s[^.!?]*,|` +
	`insert\s+into\s|update\s+[a-z_.]+(\s+(as\s+)?[a-z]\w*)?\s+set\s|delete\s+from\s|with\s+\w+\s*(\([^)]*\)\s*)?as\s*(not\s+materialized\s*|materialized\s*)?\(|` +
	`SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s)`)

func sqlInStore(f *file) {
	base := path.Base(f.path)
	if f.deployable() == "" || f.test || base == "store.go" || strings.HasPrefix(base, "store_") {
		return
	}
	f.inspect(func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if s, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(s) {
			f.report(lit.Pos(), "SQL outside store.go")
		}
		return true
	})
}

func noPanic(f *file) {
	if f.workshop() || f.command() || f.deployable() == "" && !f.in("router") {
		return
	}
	for _, d := range f.syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || strings.HasPrefix(strings.ToLower(fn.Name.Name), "must") {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "panic" || len(call.Args) != 1 {
				return true
			}
			// This value is how net/http is told to break a connection off.
			if pkg, name := f.called(call.Args[0]); pkg != "net/http" || name != "ErrAbortHandler" {
				f.report(call.Pos(), "panic in %s", fn.Name.Name)
			}
			return true
		})
	}
}

func noInit(f *file) {
	root := f.deployable() != "" && f.deployable() == f.dir && !f.test
	for _, d := range f.syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || fn.Name.Name != "init" {
			continue
		}
		if !root || !f.registersOnly(fn) {
			f.report(fn.Pos(), "init does more than register a function")
		}
	}
}

// registersOnly reports whether fn is one call of the functions framework.
func (f *file) registersOnly(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	e, ok := fn.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := e.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	pkg, _ := f.called(call.Fun)
	return pkg == framework+"functions"
}

func noGoroutine(f *file) {
	if f.deployable() == "" || f.test || f.command() {
		return
	}
	f.inspect(func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			f.report(g.Pos(), "a goroutine in a function")
		}
		return true
	})
}

func testSleep(f *file) {
	if !f.test && !f.in("tests") && !f.in(testSupport...) {
		return
	}
	f.inspect(func(n ast.Node) bool {
		if loop, ok := n.(*ast.ForStmt); ok && asks(loop.Cond) {
			return false
		}
		if e, ok := n.(*ast.SelectorExpr); ok {
			if pkg, name := f.called(e); pkg == "time" && name == "Sleep" {
				f.report(e.Pos(), "time.Sleep in a test")
			}
		}
		return true
	})
}

// asks reports whether a loop goes on until a call answers otherwise, as in
// `for !ready() { time.Sleep(…) }`: that is how a condition is polled.
func asks(cond ast.Expr) bool {
	found := false
	if cond == nil {
		return false
	}
	ast.Inspect(cond, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			builtin, ok := call.Fun.(*ast.Ident)
			found = found || !ok || builtin.Name != "len" && builtin.Name != "cap"
		}
		return !found
	})
	return found
}

func testSkip(f *file) {
	if !f.test && !f.in("tests") && !f.in(testSupport...) {
		return
	}
	f.inspect(func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, name := f.called(sel); pkg == "testing" && name == "Short" {
			f.report(call.Pos(), "testing.Short leaves tests out")
		}
		id, ok := sel.X.(*ast.Ident)
		if ok && slices.Contains([]string{"t", "b", "f", "tb"}, id.Name) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			f.report(call.Pos(), "%s.%s", id.Name, sel.Sel.Name)
		}
		return true
	})
}

var nameless = []string{"util", "utils", "common", "helper", "helpers", "base", "manager", "misc", "lib", "core", "models", "types", "shared", "tools"}

func packageName(f *file) {
	name := strings.TrimSuffix(f.syntax.Name.Name, "_test")
	// Only the folder's own name counts: the files of one package agree.
	if slices.Contains(nameless, name) && !exemptName(f.dir) {
		f.report(f.syntax.Name.Pos(), "package %s says nothing about what is in it", name)
	}
}

// exemptName spares names that say what is in the package where it stands.
func exemptName(dir string) bool {
	return dir == "shared/secrets/manager" || dir == "scripts/local/tools"
}
