// Package starter writes a team's first config: one of the examples, with what this machine shows filled in.
//
// In: the name of a pipeline, or none, a directory and an environment. Out: the text of a config that plans as it is,
// what was seen, and which of its lines are a person's to change.
package starter

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/examples"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Config is a first config.
type Config struct {
	Pipeline string
	Text     string
	Seen     []string // in words
	Missing  []string // programs that it needs and that are not here
	Change   []Line   // that hold values of another site
}

// Line is a line of the config.
type Line struct {
	Number int // from 1
	Text   string
}

// aliases are names that people give an example.
func aliases() map[string]string {
	return map[string]string{"sglang": "sglang-disagg", "postgresql": "postgres", "tensorrt-llm": "trtllm", "nccl": "nccl-tests"}
}

// Names are the pipelines that there are.
func Names() []string {
	entries, err := examples.Files.ReadDir(".")
	if err != nil {
		panic(err) // unreachable: they are part of the binary
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return append(out, "sglang")
}

// Write makes the config of a pipeline, "" = the one that what was seen suggests.
func Write(pipeline string, seen Seen) (Config, error) {
	if pipeline == "" {
		pipeline = seen.suggests()
	}
	name := pipeline
	if full, ok := aliases()[name]; ok {
		name = full
	}
	data, err := examples.Files.ReadFile(name + ".yaml")
	if err != nil {
		near := strictyaml.DidYouMean(pipeline, append(Names(), slices.Sorted(maps.Keys(aliases()))...))
		return Config{}, fmt.Errorf("--pipeline %q is none of %s%s", pipeline, strings.Join(Names(), ", "), near)
	}
	c := Config{Pipeline: pipeline, Text: fill(string(data), name, seen), Seen: seen.words()}
	if strings.Contains(c.Text, "\nbackend: local") {
		for _, program := range programs(name) {
			if !seen.Has(program) {
				c.Missing = append(c.Missing, program)
			}
		}
	}
	for i, text := range strings.Split(c.Text, "\n") {
		bare := strings.TrimSpace(text)
		if !strings.HasPrefix(bare, "#") && (strings.Contains(bare, "# yours") || strings.Contains(bare, "/shared/")) {
			c.Change = append(c.Change, Line{i + 1, bare})
		}
	}
	return c, nil
}

// programs are what the commands of an example run, where a package of it may be missing.
func programs(name string) []string {
	return map[string][]string{
		"redis": {"redis-server", "redis-benchmark"}, "postgres": {"pgbench"}, "nginx": {"nginx", "wrk"}, "pytest": {"python3"},
		"vllm": {"vllm"}, "vllm-disagg": {"vllm"}, "sglang-disagg": {"python3"}, "dynamo": {"etcd", "nats-server", "vllm"}, "custom": {"python3"},
	}[name]
}

// fill writes what was seen into an example.
func fill(text, name string, seen Seen) string {
	text = strings.ReplaceAll(text, name+".yaml", defaultName)
	text = strings.ReplaceAll(text, " --config "+defaultName, "")
	set := func(line, with string) {
		text = regexp.MustCompile("(?m)"+line).ReplaceAllString(text, strings.ReplaceAll(with, "$$", "$$$$"))
	}
	onSlurm := !strings.Contains(text, "\nbackend: local")
	switch {
	case onSlurm && seen.Slurm:
		if seen.Partition != "" {
			set(`^( +partition: )batch +# yours$`, "${1}"+seen.Partition+"   # the default one here")
		}
		if seen.NodeGPUs > 0 {
			set(`^( +gpus_per_node: )\d+$`, "${1}"+strconv.Itoa(seen.NodeGPUs))
			set(`^( +gpus: )16( +# of both nodes)`, "${1}"+strconv.Itoa(2*seen.NodeGPUs)+"${2}")
		}
	case onSlurm && seen.GPUs > 1 && !strings.Contains(text, " nodes: ") && name != "trtllm":
		set(`^(stage: .*)$`, "${1}\nbackend: local                         # there is no Slurm here: processes of this machine")
		set(`^( +partition: .*)$\n`, "")
		set(`^( +gpus_per_node: )\d+$`, "${1}"+strconv.Itoa(seen.GPUs)+"                   # of this machine")
		set(`^runs_dir: .*\n`, "")
	}
	if seen.Checkout != "" {
		set(`^(  source: )/shared/TensorRT-LLM( +#.*)$`, "${1}"+seen.Checkout+"${2}")
	}
	if name == "pytest" {
		text = fillPytest(text, seen)
	}
	return text
}

// fillPytest names the interpreter that has pytest, and leaves out a plugin that it lacks.
func fillPytest(text string, seen Seen) string {
	if seen.Python != "" {
		text = strings.ReplaceAll(text, "command: python3 -m pytest", "command: "+seen.Python+" -m pytest")
	}
	if seen.Tests != "" {
		text = strings.ReplaceAll(text, "vars: {tests: tests}", "vars: {tests: "+seen.Tests+"}")
	}
	if seen.Python != "" && !seen.Benchmark {
		text = strings.ReplaceAll(text, " --benchmark-json={out}/benchmark.json", "")
		text = strings.ReplaceAll(text, "      bench: [{reader: pytest-benchmark, files: benchmark.json}]\n",
			"      # Where tests use pytest-benchmark: --benchmark-json={out}/benchmark.json behind the command, and\n"+
				"      # bench: [{reader: pytest-benchmark, files: benchmark.json}]\n")
	}
	return text
}

// suggests is the pipeline that fits what was seen.
func (s Seen) suggests() string {
	switch {
	case s.Checkout != "":
		return "trtllm"
	case s.Has("vllm") && (s.GPUs > 0 || s.Slurm):
		return "vllm"
	case s.Python != "" && s.Tests != "":
		return "pytest"
	default:
		return "custom"
	}
}

// words says what was seen.
func (s Seen) words() []string {
	var out []string
	switch {
	case s.Slurm && s.Partition != "":
		out = append(out, fmt.Sprintf("Slurm, its default partition %s%s", s.Partition, many(s.NodeGPUs, " with %d GPUs on a node")))
	case s.Slurm:
		out = append(out, "Slurm, without a default partition that sinfo shows")
	default:
		out = append(out, "no Slurm (sbatch is not here)")
	}
	out = append(out, "GPUs of this machine: "+strconv.Itoa(s.GPUs))
	switch {
	case s.Python == "":
		out = append(out, "no pytest")
	case s.Benchmark:
		out = append(out, "pytest with pytest-benchmark ("+s.Python+")")
	default:
		out = append(out, "pytest ("+s.Python+"), no test that asks for pytest-benchmark")
	}
	if s.Tests != "" {
		out = append(out, "tests in "+s.Tests)
	}
	if s.Checkout != "" {
		out = append(out, "a checkout of TensorRT-LLM in "+s.Checkout)
	}
	return slices.Clip(out)
}

func many(n int, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

// Told is what a person is told of the config that was written to a file.
func (c Config) Told(file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: pipeline %s\n", file, c.Pipeline)
	for _, s := range c.Seen {
		fmt.Fprintf(&b, "  seen    %s\n", s)
	}
	for _, p := range c.Missing {
		fmt.Fprintf(&b, "  missing %s is not on $PATH; the first lines of the file say where it comes from\n", p)
	}
	for _, l := range c.Change {
		fmt.Fprintf(&b, "  change  %s:%d: %s\n", file, l.Number, l.Text)
	}
	next := "ci-disagg plan"
	if file != defaultName {
		next += " -c " + file
	}
	if c.Pipeline == "trtllm" {
		next += " --test-list FILE"
	}
	fmt.Fprintf(&b, "next: %s    (starts nothing; then the same with run)\n", next)
	return b.String()
}
