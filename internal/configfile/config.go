// Package configfile is ci-disagg.yaml as a whole: the launching half and the judging half, the paths in it, and the
// copy that a run directory keeps.
//
// In: the text of a config, and where it was read. Out: a checked Config, and what its relative paths, its store and
// its pins name. docs/config.md describes every key. It is the only place that puts the two halves together; its errors
// are the user's.
package configfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/ci-disagg/ci-disagg/docs"
	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// DefaultFile is read where no config is named; it may be absent then.
const DefaultFile = pipeline.DefaultFile

// File is what ci-disagg.yaml may hold: each half owns its sections.
type File struct {
	pipeline.Config `yaml:",inline"`
	Perf            builder.Perf   `yaml:"perf"`
	Report          builder.Output `yaml:"report"`
	SCM             builder.SCM    `yaml:"scm"`
	Owners          owners.Owners  `yaml:"owners"`
	Notify          notify.Config  `yaml:"notify" policy:"base"`
}

func defaults() File { return File{Config: pipeline.Default(), Perf: builder.DefaultPerf()} }

// Config is a file that was read, with what is needed to complain about it.
type Config struct {
	File
	Path   string // absolute; "" = there is no file
	Doc    strictyaml.Document
	Raw    []byte
	KeptIn rundir.Dir // the run directory that it was found in, "" = it was not
	// Own gives the caller's config where this one is kept: what cannot be believed of it has to stand there, too.
	// nil = there is none.
	Own func() (Config, error)

	Rules   *prpolicy.Rules   // that are not its own; nil = there are none
	Passed  []string          // variables that a pull request's jobs see where no export says; nil = it is none
	changes []prpolicy.Change // what the rules changed
}

// ReadFunc reads a file that the user names.
type ReadFunc func(path string) ([]byte, error)

// Load reads the file at path, relative to wd. An empty path means the default file, which need not exist; a named one
// must.
func Load(read ReadFunc, wd, path string) (Config, error) {
	named := path != ""
	if !named {
		path = DefaultFile
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(wd, path)
	}
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return Config{File: defaults()}, nil
	}
	if err != nil {
		return Config{}, exit.ByUser(fmt.Errorf("config: %w", err))
	}
	c, err := Parse(ShortPath(wd, path), data)
	c.Path = path
	return c, exit.ByUser(err)
}

// Parse decodes and checks the text of a config.
func Parse(file string, data []byte) (Config, error) {
	c := Config{Raw: data, File: defaults()}
	doc, err := strictyaml.Read(file, data, &c.File)
	c.Doc = doc
	if err != nil {
		return c, err
	}
	errs := append(c.Validate(doc), c.Perf.Validate(doc)...)
	errs = append(errs, c.Report.Validate(doc)...)
	rd := c.Perf.Reader(metric.Default())
	c.EachReader(func(path, reader string, requests bool) {
		if err := rd.Check(reader, requests); err != nil {
			errs = append(errs, doc.Problem(path, "%v", err))
		}
	})
	return c, errors.Join(slices.Concat(errs, c.SCM.Validate(doc), c.Owners.Validate(doc), c.Notify.Validate(doc))...)
}

// Schema is the JSON schema of the whole file, with the words of docs/config.md.
func Schema() ([]byte, error) {
	words := docs.ConfigKeys()
	s := strictyaml.Schema(reflect.TypeFor[File](), func(path string) string { return words[path] })
	s["title"] = DefaultFile
	return json.MarshalIndent(s, "", "  ")
}

// Metrics is the built-in table with the config's own metrics.
func (c Config) Metrics() (metric.Table, error) {
	t, err := c.Perf.Metrics()
	return t, exit.ByUser(err)
}

// Reader reads the outputs of benchmark clients.
func (c Config) Reader(metrics metric.Table) points.Reader { return c.Perf.Reader(metrics) }

// Profile is the profile of the named cluster, or of the default one, and its name.
func (c Config) Profile(cluster string) (string, script.Profile, error) {
	name, prof, err := c.Config.Profile(cluster, c.Doc.File)
	return name, prof, exit.ByUser(err)
}

// RunsDir is where the config has run directories made.
func (c Config) RunsDir(getenv func(string) string) (string, error) {
	dir, err := c.RunsIn(filepath.Dir(c.Path), getenv)
	return dir, exit.ByUser(err)
}

// Failures are the config's failure classes before the built-in ones.
func (c Config) Failures() (blame.Classes, error) {
	if len(c.Classes) == 0 {
		return compiledBuiltin()
	}
	builtin, err := BuiltinClasses()
	if err != nil {
		return blame.Classes{}, err
	}
	classes, err := blame.Compile(slices.Concat(c.Classes, builtin))
	return classes, exit.ByUser(err)
}

// BuiltinClasses are the built-in failure classes.
func BuiltinClasses() ([]blame.Rule, error) {
	var rules []blame.Rule
	if err := strictyaml.Decode("built-in classes.yaml", []byte(blame.ClassesYAML), &rules); err != nil {
		return nil, fmt.Errorf("this is a bug: %w", err)
	}
	return rules, nil
}

//nolint:gochecknoglobals // compiled once, immutable
var compiledBuiltin = sync.OnceValues(func() (blame.Classes, error) {
	builtin, err := BuiltinClasses()
	if err != nil {
		return blame.Classes{}, err
	}
	return blame.Compile(builtin)
})

// ShortPath is path as a person in wd would write it.
func ShortPath(wd, path string) string {
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
