// Command upstreamcheck holds a TensorRT-LLM checkout against what ci-disagg
// relies on there.
//
//	go run ./tools/upstreamcheck CHECKOUT     # ends with 1 when a point has moved
//	go run ./tools/upstreamcheck -markdown    # the table of docs/upstream.md
//
// In: points.yaml beside this file, and the checkout's files. Out: one line per
// point on stdout: "holds", "MOVED" or "NO FILE".
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed points.yaml
var pointsYAML []byte

// source is one file of the checkout and what was read in it.
type source struct {
	File   string  `yaml:"file"`
	Read   string  `yaml:"read"` // the commit whose file was read
	Points []point `yaml:"points"`
}

// point is one fact, recognised by a pattern in the file's text.
type point struct {
	ID      string `yaml:"id"`
	Fact    string `yaml:"fact"`
	Pattern string `yaml:"pattern"`
	Absent  bool   `yaml:"absent"` // the fact is that the pattern is not there
	Here    string `yaml:"here"`   // what depends on it in ci-disagg
}

// state is what became of a point in a checkout.
type state string

const (
	holds  state = "holds"
	moved  state = "MOVED"
	noFile state = "NO FILE"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("upstreamcheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	markdown := flags.Bool("markdown", false, "print the table of docs/upstream.md and end")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	sources, err := points()
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "upstreamcheck:", err)
		return 2
	case *markdown:
		printMarkdown(stdout, sources)
		return 0
	case flags.NArg() != 1:
		fmt.Fprintln(stderr, "usage: upstreamcheck [-markdown] CHECKOUT")
		return 2
	}
	bad, err := check(stdout, flags.Arg(0), sources)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "upstreamcheck:", err)
		return 2
	case bad > 0:
		return 1
	}
	return 0
}

// points reads the embedded list.
func points() ([]source, error) {
	var out []source
	dec := yaml.NewDecoder(bytes.NewReader(pointsYAML))
	dec.KnownFields(true)
	return out, dec.Decode(&out)
}

// check prints the state of every point and returns how many do not hold.
func check(w io.Writer, dir string, sources []source) (int, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close() //nolint:errcheck // opened for reading
	bad, all := 0, 0
	for _, s := range sources {
		text, err := root.ReadFile(s.File)
		missing := errors.Is(err, fs.ErrNotExist)
		if err != nil && !missing {
			return bad, err
		}
		fmt.Fprintf(w, "%s (compared with %s)\n", s.File, s.Read)
		for _, p := range s.Points {
			got := noFile
			if !missing {
				got, err = p.state(text)
			}
			if err != nil && !missing {
				return bad, err
			}
			all++
			if got != holds {
				bad++
			}
			fmt.Fprintf(w, "  %-8s %-20s %s\n", got, p.ID, p.Fact)
			if got != holds {
				fmt.Fprintf(w, "  %-8s %-20s depends on it: %s\n", "", "", p.Here)
			}
		}
	}
	fmt.Fprintf(w, "%d of %d points hold\n", all-bad, all)
	return bad, nil
}

// state reports whether the point still holds in the text of its file.
func (p point) state(text []byte) (state, error) {
	re, err := regexp.Compile(p.Pattern)
	if err != nil {
		return moved, fmt.Errorf("point %s: %w", p.ID, err)
	}
	if re.Match(text) != p.Absent {
		return holds, nil
	}
	return moved, nil
}

// printMarkdown prints the list as the tables of docs/upstream.md.
func printMarkdown(w io.Writer, sources []source) {
	for _, s := range sources {
		fmt.Fprintf(w, "## `%s`\n\nCompared with commit `%s`.\n\n", s.File, s.Read)
		fmt.Fprint(w, "| point | what is there | what relies on it |\n|---|---|---|\n")
		for _, p := range s.Points {
			fmt.Fprintf(w, "| %s | %s | %s |\n", p.ID, cell(p.Fact), cell(p.Here))
		}
		fmt.Fprintln(w)
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
