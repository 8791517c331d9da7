// Package compose reads docker-compose.yaml as Docker Compose does: with the loader
// and the schema of Compose itself, which refuse what they do not know. The file is
// written by scripts/deployables; its tests are here, because the loader is no small
// thing to depend on.
package compose

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// File is read, under the repository's root.
const File = "docker-compose.yaml"

// Load reads the file with the variables that are given, and no others.
func Load(ctx context.Context, root string, variables ...string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, File)}, cli.WithWorkingDirectory(root), cli.WithEnv(variables))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	return project, nil
}
