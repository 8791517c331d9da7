package houselint

import (
	"slices"
	"strings"
)

// order lists the packages of shared from the lowest up. Each imports only what
// stands before it; packages on one line do not import one another.
var order = [][]string{
	{"errs", "ids", "trips", "config", "subdomain", "sheet", "domain", "plans", "prefault"},
	{"logs", "problem", "outbox", "mail", "blob", "digest"},
	{"telemetry", "activity", "secrets"},
	{"hop", "identity"},
	{"mail/link", "nudge"},
	{"idempotency", "page", "keyrotation"},
	{"db", "cache"},
	{"queue"},
	{"queue/tasks", "queue/events", "queue/push"},
	{"ratelimit", "access", "job", "sessions", "listcache", "usage"},
	{"payment"},
	{"payment/catalog", "payment/signature"},
	{"secrets/manager"},
	{"api"},
	{"serve"},
	{"serve/gcp", "serve/lambda"},
	{"serve/host"},
	{"function", "worker", "schedule"},
	{"standin"},
	{"dbtest"},
	{"functest"},
	{"payment/paytest"},
}

// level finds the place of a package of shared; what lies in a folder without a
// place of its own has that of the folder above.
func level(pkg string) (int, bool) {
	for p := pkg; p != ""; p = parent(p) {
		for i, line := range order {
			if slices.Contains(line, p) {
				return i, true
			}
		}
	}
	return 0, false
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return ""
	}
	return p[:i]
}

func layers(f *file) {
	self, isShared := strings.CutPrefix(f.dir, "shared/")
	if !isShared || f.command() {
		return
	}
	at, known := level(self)
	if !known {
		f.report(f.syntax.Package, "shared/%s has no place in the order of layers: give it one in scripts/houselint/imports.go", self)
		return
	}
	for _, i := range f.imports {
		target, ours := i.ours()
		if !ours {
			continue
		}
		pkg, toShared := strings.CutPrefix(target, "shared/")
		switch {
		case !toShared && target == "migrations" && (f.in(testSupport...) || f.test):
		case !toShared:
			f.report(i.pos, "shared imports %s: shared is below everything else", target)
		case f.test || pkg == self || strings.HasPrefix(self, pkg+"/") && !placed(self):
			// Tests may look up: they are not part of the package's weight.
		default:
			if to, ok := level(pkg); ok && to >= at && !sameRoof(self, pkg) {
				f.report(i.pos, "shared/%s imports shared/%s, which is not below it", self, pkg)
			}
		}
	}
}

// placed reports whether the package itself, not a folder above it, is listed.
func placed(pkg string) bool {
	return slices.ContainsFunc(order, func(line []string) bool { return slices.Contains(line, pkg) })
}

// sameRoof reports whether both take their place from one listed folder.
func sameRoof(a, b string) bool {
	roof := func(p string) string {
		for ; p != "" && !placed(p); p = parent(p) {
		}
		return p
	}
	return roof(a) == roof(b)
}

func functionImport(f *file) {
	for _, i := range f.imports {
		target, ours := i.ours()
		if !ours {
			continue
		}
		self := f.deployable()
		if other := deployable(target); self != "" && other != "" && other != self {
			f.report(i.pos, "%s imports %s: functions never import one another", self, other)
		}
		if within(target, "functions/all", "router", "tests", "scripts") && (self != "" || f.in("router") && !within(target, "router")) {
			f.report(i.pos, "a deployable imports %s", target)
		}
	}
}

const framework = "github.com/GoogleCloudPlatform/functions-framework-go/"

// platforms are the packages that tie code to one cloud.
var platforms = []string{
	"cloud.google.com/go", "google.golang.org/api", "github.com/aws", "github.com/Azure",
	"github.com/GoogleCloudPlatform", "github.com/cloudevents",
}

// adapters are the packages whose purpose is one platform's interface.
var adapters = []string{"shared/serve", "shared/secrets/manager", "shared/queue", "shared/blob", "shared/standin", "router/gcp"}

func cloudImport(f *file) {
	if f.workshop() || f.command() || f.in(adapters...) {
		return
	}
	root := f.deployable() != "" && f.deployable() == f.dir
	for _, i := range f.imports {
		registers := i.path == framework+"functions" || i.path == framework+"funcframework" && i.name == "_"
		if within(i.path, platforms...) && (!root || !registers) {
			f.report(i.pos, "%s outside cmd/ and the platform's adapters", i.path)
		}
	}
}

func humaImport(f *file) {
	if f.workshop() || f.in("shared/api") {
		return
	}
	for _, i := range f.imports {
		if within(i.path, "github.com/danielgtaylor/huma") {
			f.report(i.pos, "huma outside shared/api")
		}
	}
}

func standinImport(f *file) {
	if f.workshop() || f.in("shared/standin") || f.in("functions/all") {
		return
	}
	for _, i := range f.imports {
		if target, _ := i.ours(); within(target, "shared/standin") {
			f.report(i.pos, "%s in production code", target)
		}
	}
}

func testonlyImport(f *file) {
	if f.test || f.in("tests") || f.in(testSupport...) {
		return
	}
	for _, i := range f.imports {
		if target, _ := i.ours(); within(target, testSupport...) {
			f.report(i.pos, "%s outside tests", target)
		}
	}
}
