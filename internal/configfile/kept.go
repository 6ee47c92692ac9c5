package configfile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a run was made from is kept in its directory, so that resume and report
// need nothing else, also where the directory was copied to.
const (
	Copy   = "ci-disagg.yaml"
	Draft  = "draft.sh"
	Origin = Copy + ".origin" // where the config was read from
	Pins   = "pins.yaml"

	rulesCopy = "rules.json" // the rules that the run was made under
)

// keptLimit bounds what of it is read, in bytes.
const keptLimit = 16 << 20

// ToKeep is what a run was made from, for its directory. The draft is kept where one is named.
func (c Config) ToKeep(read ReadFunc, draftName string, draft []byte) ([]rundir.File, error) {
	var files []rundir.File
	keep := func(name string, data []byte) {
		files = append(files, rundir.File{Path: name, Data: data, Mode: rundir.FileMode})
	}
	if c.Path != "" {
		keep(Copy, c.Raw)
		keep(Origin, []byte(c.Path+"\n"))
	}
	if c.Rules != nil {
		text, err := json.Marshal(c.Rules)
		if err != nil {
			return nil, err
		}
		keep(rulesCopy, text)
	}
	if path := c.PinsPath(); path != "" {
		text, err := read(path)
		if err != nil {
			return nil, exit.ByUser(err)
		}
		keep(Pins, text)
	}
	if draftName != "" {
		keep(Draft, draft)
	}
	return files, nil
}

// UseTrustedCommands makes named, the caller's config, that by which shell text runs beside the driver of a run that
// was taken up: jobs can write the one that is kept with their run, and its record. It reports whether that is left out
// for want of one.
func (c *Config) UseTrustedCommands(named *Config) (leftOut bool) {
	switch {
	case c.KeptIn == "":
		return false
	case named != nil && !sameDir(filepath.Dir(named.Path), string(c.KeptIn)):
		*c = *named
		return false
	}
	leftOut = c.Perf.Reference != "" || c.AB.Confirm
	c.Perf.Reference, c.AB.Confirm = "", false
	return leftOut
}

func sameDir(a, b string) bool {
	one, err := os.Stat(a)
	two, also := os.Stat(b)
	return err == nil && also == nil && os.SameFile(one, two)
}

// Kept is the config that a run directory was made with. Relative paths in it are still relative to where it was read
// from first. own gives the caller's: see Config.Own.
func Kept(dir rundir.Dir, own func() (Config, error)) (Config, error) {
	tree, err := dir.Tree()
	if err != nil {
		return Config{}, exit.ByUser(err)
	}
	defer func() { _ = tree.Close() }()
	path := filepath.Join(string(dir), Copy)
	data, err := tree.ReadFile(path, keptLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, exit.ByUser(err)
	}
	c, err := Parse(path, data)
	c.Path, c.KeptIn, c.Own = path, dir, own
	if from, readErr := tree.ReadFile(filepath.Join(string(dir), Origin), keptLimit); readErr == nil {
		c.Path = strings.TrimSpace(string(from))
	}
	return c, exit.ByUser(errors.Join(err, c.keptRules(tree)))
}
