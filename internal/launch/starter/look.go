package starter

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// Seen is what a machine shows without being asked.
type Seen struct {
	Slurm     bool   // sbatch is here
	Partition string // Slurm's default one
	NodeGPUs  int    // of a node there
	GPUs      int    // of this machine
	Python    string // that has pytest
	Benchmark bool   // pytest-benchmark, too, and tests use it
	Tests     string // folder of tests
	Checkout  string // of TensorRT-LLM

	path string // $PATH
}

// Look looks at the machine, from a directory.
func Look(ctx context.Context, dir string, env []string) Seen {
	s := Seen{path: proc.Getenv(env, "PATH")}
	ask := func(argv ...string) (string, bool) {
		if !s.Has(argv[0]) {
			return "", false
		}
		res, err := proc.Run(ctx, proc.Command{Argv: argv, Dir: dir, Env: env, Timeout: 20 * time.Second})
		return strings.TrimSpace(string(res.Stdout)), err == nil
	}
	if s.Slurm = s.Has("sbatch"); s.Slurm {
		out, _ := ask("sinfo", "--noheader", "--format=%P %G")
		s.Partition, s.NodeGPUs = partition(out)
	}
	if out, ok := ask("nvidia-smi", "--query-gpu=index", "--format=csv,noheader"); ok && out != "" {
		s.GPUs = len(strings.Split(out, "\n"))
	}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if _, ok := ask(python, "-c", "import pytest"); ok {
			s.Python = python
			_, s.Benchmark = ask(python, "-c", "import pytest_benchmark")
			s.Benchmark = s.Benchmark && benchmarks(dir)
			break
		}
	}
	for _, tests := range []string{"tests", "test"} {
		if isDir(filepath.Join(dir, tests)) {
			s.Tests = tests
			break
		}
	}
	s.Checkout = checkout(dir)
	return s
}

// Has reports whether a program is on the path, or at its own.
func (s Seen) Has(program string) bool {
	if strings.Contains(program, "/") {
		return runs(program)
	}
	for _, dir := range filepath.SplitList(s.path) {
		if runs(filepath.Join(dir, program)) {
			return true
		}
	}
	return false
}

func runs(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// partition finds the default partition in what sinfo prints, and how many GPUs its nodes have.
func partition(sinfo string) (name string, gpus int) {
	for line := range strings.Lines(sinfo) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasSuffix(fields[0], "*") {
			continue
		}
		name = strings.TrimSuffix(fields[0], "*")
		if m := regexp.MustCompile(`gpu:(?:[^:,(]+:)?(\d+)`).FindStringSubmatch(line); m != nil {
			gpus, _ = strconv.Atoi(m[1])
		}
	}
	return name, gpus
}

// benchmarks reports whether a test here asks for pytest-benchmark: without one it leaves an empty file.
func benchmarks(dir string) bool {
	found := false
	_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // what cannot be read is no test
		case found:
			return fs.SkipAll
		case d.IsDir() && (strings.Count(path, "/") > 4 || path != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.Type().IsRegular() || !strings.HasSuffix(path, ".py"):
			return nil
		}
		text, err := fs.ReadFile(os.DirFS(dir), path)
		found = err == nil && bytes.Contains(text, []byte("(benchmark"))
		return nil
	})
	return found
}

// checkout is the folder of TensorRT-LLM that dir is in, or beside.
func checkout(dir string) string {
	is := func(at string) bool { return isDir(filepath.Join(at, "tests", "integration", "defs", "perf")) }
	for at := dir; ; at = filepath.Dir(at) {
		if is(at) {
			return at
		}
		if beside := filepath.Join(at, "TensorRT-LLM"); is(beside) {
			return beside
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}
