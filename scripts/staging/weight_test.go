package staging

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// light are the functions that need the database, Redis and nothing else. A
// function that needs more is not added, and pays for what it links.
var light = []string{"activity", "auth", "projects", "tasks", "tenants", "users"}

// limit is how large the program of a light function may be, in bytes: what is
// read from disk is most of a cold start.
const limit = 15_500_000

// heavy are packages, with all below them, that a light function must not link,
// each for one that was found in there or nearly was.
var heavy = []string{
	"cloud.google.com/go", "google.golang.org/grpc", "google.golang.org/api", "google.golang.org/protobuf", // Secret Manager's client: 17 MB
	"github.com/GoogleCloudPlatform", "github.com/cloudevents", "github.com/json-iterator", "github.com/modern-go/reflect2", "go.uber.org/zap", // the functions framework: 1.1 MB
	"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", // recording, see shared/function
	"github.com/aws/aws-sdk-go-v2", "github.com/stripe/stripe-go",
	"github.com/fxamacker/cbor", "text/template", "html/template", "testing",
}

// TestLightFunctionsStayLight holds what the functions link on AWS, and the
// size of one of them.
func TestLightFunctionsStayLight(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range light {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-tags", LambdaTags, "-deps", "./cmd")
		cmd.Dir = filepath.Join(root, "functions", name)
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, linked := range strings.Fields(string(out)) {
			if slices.ContainsFunc(heavy, func(h string) bool { return linked == h || strings.HasPrefix(linked, h+"/") }) {
				t.Errorf("%s links %s", name, linked)
			}
		}
	}
	archive, err := Lambda(t.Context(), root, "functions/tasks", "amd64", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(archive.File)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if size := z.File[0].UncompressedSize64; size > limit {
		t.Errorf("tasks is %d bytes, over %d", size, limit)
	}
}
