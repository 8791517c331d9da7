package staging

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// LambdaArchitectures are what AWS Lambda runs programs on, as GOARCH names
// them.
var LambdaArchitectures = []string{"arm64", "amd64"}

// lambdaProgram is the name of what the provided.al2023 runtime starts
// (https://docs.aws.amazon.com/lambda/latest/dg/golang-package.html).
const lambdaProgram = "bootstrap"

// LambdaTags choose what a program for AWS links: its clients of AWS and not
// those of Google, no runtime of the days before provided.al2023, and no
// HTTP/2, which nobody speaks to a function behind the Runtime API and which is
// half a megabyte.
const LambdaTags = "aws,lambda.norpc,nethttpomithttp2"

// Lambda builds the cmd of the function in folder, a path from root, for an
// architecture, and packs it as out/<name>-<arch>.zip. The same sources and
// version of Go give the same bytes, wherever they lie.
func Lambda(ctx context.Context, root, folder, arch, out string) (Archive, error) {
	if !slices.Contains(LambdaArchitectures, arch) {
		return Archive{}, fmt.Errorf("AWS Lambda does not run %s programs", arch)
	}
	name := filepath.Base(folder)
	work, err := os.MkdirTemp("", "lambda-"+name+"-")
	if err != nil {
		return Archive{}, err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, lambdaProgram)
	// The module alone, as everything that is shipped is built; and neither
	// the checkout's path nor the state of its repository in the program.
	env := []string{"GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0"}
	err = run(ctx, filepath.Join(root, folder), env,
		"go", "build", "-tags", LambdaTags, "-trimpath", "-buildvcs=false", "-ldflags", LinkerFlags, "-o", program, "./cmd")
	if err != nil {
		return Archive{}, fmt.Errorf("%s: %w", folder, err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Archive{}, err
	}
	a := Archive{Name: name, File: filepath.Join(out, name+"-"+arch+".zip")}
	a.Size, a.SHA256, err = packProgram(program, a.File)
	return a, err
}

// packProgram writes a zip that holds one executable and no clock's time.
func packProgram(program, file string) (size int64, sum string, err error) {
	in, err := os.Open(program)
	if err != nil {
		return 0, "", err
	}
	defer in.Close() //nolint:errcheck // It was read to its end.
	out, err := os.Create(file)
	if err != nil {
		return 0, "", err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	hash := sha256.New()
	w := zip.NewWriter(io.MultiWriter(out, hash))
	header := &zip.FileHeader{Name: lambdaProgram, Method: zip.Deflate, Modified: epoch}
	header.SetMode(0o755)
	entry, err := w.CreateHeader(header)
	if err != nil {
		return 0, "", err
	}
	if _, err := io.Copy(entry, in); err != nil {
		return 0, "", err
	}
	if err := w.Close(); err != nil {
		return 0, "", err
	}
	info, err := out.Stat()
	if err != nil {
		return 0, "", err
	}
	return info.Size(), hex.EncodeToString(hash.Sum(nil)), nil
}
