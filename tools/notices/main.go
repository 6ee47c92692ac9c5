// Command notices prints the licences of all modules that are linked into a binary, from the modules' own files:
//
//	go list -deps -f '…' ./cmd/ci-disagg | notices
//
// In, one line per package: module path, module version, module directory, package directory, separated by tabs; `make
// release` says how to ask go list for that. Out: for each module its name, version and every licence, notice and
// copyright file between the package and the module's root. A module without any fails: its licence is not known.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// module is a module with the directories that are searched for its licences.
type module struct {
	name, version string
	dirs          map[string]bool
}

func run(in io.Reader, out io.Writer) error {
	modules, err := read(in)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("ci-disagg contains the following software, each under its own licence.\n")
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if err := write(&b, modules[name]); err != nil {
			return err
		}
	}
	_, err = out.Write(b.Bytes())
	return err
}

func read(in io.Reader) (map[string]*module, error) {
	modules := map[string]*module{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("%q is not module, version, module directory and package directory", lines.Text())
		}
		m := modules[f[0]]
		if m == nil {
			m = &module{name: f[0], version: f[1], dirs: map[string]bool{}}
			modules[f[0]] = m
		}
		root := filepath.Clean(f[2])
		for dir := filepath.Clean(f[3]); ; dir = filepath.Dir(dir) {
			if dir != root && !strings.HasPrefix(dir, root+string(filepath.Separator)) {
				return nil, fmt.Errorf("package directory %s is not below %s", f[3], f[2])
			}
			m.dirs[dir] = true
			if dir == root {
				break
			}
		}
	}
	if len(modules) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("no packages on standard input")
	}
	return modules, lines.Err()
}

func write(b *bytes.Buffer, m *module) error {
	fmt.Fprintf(b, "\n%s\n%s %s\n", strings.Repeat("=", 80), m.name, m.version)
	found := false
	for _, dir := range slices.Sorted(maps.Keys(m.dirs)) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || !legal(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			found = true
			fmt.Fprintf(b, "\n-- %s\n\n%s\n", e.Name(), bytes.TrimRight(text, "\n"))
		}
	}
	if !found {
		return fmt.Errorf("%s %s has no licence file", m.name, m.version)
	}
	return nil
}

// legal reports whether a file of this name states a licence or a notice that copies have to carry.
func legal(name string) bool {
	name = strings.ToLower(name)
	if ext := filepath.Ext(name); ext == ".go" {
		return false
	}
	for _, prefix := range []string{"license", "licence", "copying", "copyright", "notice", "patents", "ofl"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
