package configfile

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
)

const dirScheme = "dir:"

// Given is what a command line and its environment say in place of the config.
type Given struct {
	WorkDir string
	Getenv  func(string) string
	Store   string
	Pins    string
}

// With lays what is given over the config.
func (c Config) With(g Given) (Config, error) {
	if baseline.HasPassword(g.Store) {
		return Config{}, exit.ByUser(errors.New("--store: a password on a command line can be read by everyone on this host; put the URL into $CI_DISAGG_STORE, or the password into $PGPASSWORD or ~/.pgpass"))
	}
	if c.Path == "" {
		c.Path = filepath.Join(g.WorkDir, DefaultFile) // what relative paths are relative to
	}
	c.Perf.Store = cmp.Or(absStore(g.WorkDir, g.Store), g.envStore(), c.Perf.Store)
	if g.Pins != "" {
		c.Perf.Pins = absPath(g.WorkDir, g.Pins)
	}
	return c, nil
}

// envStore is the store that the environment names, which overrides the config's: a URL with a password belongs there
// and not into a file.
func (g Given) envStore() string { return absStore(g.WorkDir, g.Getenv("CI_DISAGG_STORE")) }

// StoreHere is the store that the environment names, else the config's; a relative directory made absolute.
func (c Config) StoreHere(g Given) string { return cmp.Or(g.envStore(), c.StoreURL()) }

// StoreURL is the configured store with a relative directory made absolute.
func (c Config) StoreURL() string { return absStore(filepath.Dir(c.Path), c.Perf.Store) }

// absStore makes a store's directory absolute.
func absStore(base, url string) string {
	dir, ok := strings.CutPrefix(url, dirScheme)
	if !ok || dir == "" {
		return url
	}
	return dirScheme + absPath(base, dir)
}

func absPath(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// PinsPath is the file of pinned baselines, "" when there is none. Of a kept config it is the live file, so that a
// later pin counts, and the run's own copy where the live one is not to be had.
func (c Config) PinsPath() string {
	if c.Perf.Pins == "" || c.Rules != nil && c.Rules.Pins != "" {
		return ""
	}
	path := absPath(filepath.Dir(c.Path), c.Perf.Pins)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && c.KeptIn != "" {
		return filepath.Join(string(c.KeptIn), Pins)
	}
	return path
}

// PinsName is the configured file of pins as a person in wd knows it.
func (c Config) PinsName(wd string) string {
	return ShortPath(wd, absPath(filepath.Dir(c.Path), c.Perf.Pins))
}

// Judging is what runs are judged with, but for the store; pins is the name of the file of pins.
func (c Config) Judging(read ReadFunc, pins string) (judging.Setup, error) {
	metrics, err := c.Metrics()
	if err != nil {
		return judging.Setup{}, err
	}
	setup := judging.Setup{Policy: c.Perf.Policy, Metrics: metrics, Reference: c.Perf.ParsedReference()}
	switch {
	case c.Perf.Pins == "":
	case c.Rules != nil && c.Rules.Pins != "":
		setup.Pins, err = judging.ParsePins(c.Perf.Pins, []byte(c.Rules.Pins), metrics)
	default:
		setup.Pins, err = judging.ReadPins(read, pins, metrics)
	}
	return setup, exit.ByUser(err)
}
