package starter

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// File is a first config that is to be written.
type File struct {
	Pipeline string // "" = what fits
	Dir      string // where it is written, and looked
	Name     string // - = to standard output
	Force    bool   // overwrite what is there
	Env      []string
}

// Write writes the file and tells a person what was seen. What is there is kept unless Force is set.
func (f File) Write(ctx context.Context, stdout, stderr io.Writer) error {
	c, err := Write(f.Pipeline, Look(ctx, f.Dir, f.Env))
	if err != nil {
		return err
	}
	if f.Name == "-" {
		fmt.Fprint(stdout, c.Text)
		fmt.Fprint(stderr, c.Told(defaultName))
		return nil
	}
	path := f.Name
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.Dir, path)
	}
	if _, err := os.Lstat(path); err == nil && !f.Force {
		return fmt.Errorf("%s is there already: --force overwrites it, -o writes another file", f.Name)
	}
	if err := rundir.WriteFile(path, []byte(c.Text), 0o644); err != nil {
		return err
	}
	fmt.Fprint(stdout, c.Told(f.Name))
	return nil
}

// defaultName is where a config is looked for.
const defaultName = "ci-disagg.yaml"
