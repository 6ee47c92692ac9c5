// Package recipe imports the recipes of srt-slurm: one YAML file that says which model is served by which workers of
// SGLang, vLLM or TensorRT-LLM, behind which frontend, and how it is measured.
//
// In: the text of a recipe. Out: a config with a pipeline that starts the same servers with the same flags and
// environment on as many nodes and GPUs, and the keys that have no counterpart here, each by its name. A recipe whose
// servers cannot be started here is an error.
package recipe

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Imported is a recipe as a config.
type Imported struct {
	Text string   // of ci-disagg.yaml
	Left []string // keys that are not in it, in words
}

// Import reads a recipe. file is only named in messages.
func Import(file string, data []byte) (Imported, error) {
	root, err := strictyaml.Parse(file, data)
	if err != nil {
		return Imported{}, err
	}
	r := &reading{file: file, top: section{node: root}}
	if r.top.find("base") != nil {
		return Imported{}, fmt.Errorf("%s: this is a base with overrides, several recipes in one: write one of them out (base: with what its override_… changes), and import that", file)
	}
	out := r.config()
	if len(r.wrong) > 0 {
		return Imported{}, fmt.Errorf("%s", strings.Join(r.wrong, "\n"))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# From %s, a recipe of srt-slurm.\n", file)
	left := append(r.top.unread(), r.notes...)
	if len(left) > 0 {
		b.WriteString("# Not taken over, to be seen to by hand:\n")
	}
	for _, l := range left {
		fmt.Fprintf(&b, "#   %s\n", strings.ReplaceAll(l, "\n", " "))
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(out); err != nil {
		return Imported{}, err
	}
	return Imported{Text: b.String(), Left: left}, enc.Close()
}

// reading is a recipe that is being read.
type reading struct {
	file  string
	top   section
	wrong []string
	notes []string

	backend, frontend string
	connector         string // of vLLM under Dynamo, by which prefill workers hand over
	numactl           string // before TensorRT-LLM's workers, with a blank; "" = nothing
	plane             string // on which Dynamo's requests go
	model             string
	served            string // under which name, where it is another
	perNode, perLoad  int    // GPUs of a node; requests for each that is under way at once
	warm              int    // requests before that are not measured, likewise
}

func (r *reading) bad(format string, args ...any) {
	r.wrong = append(r.wrong, r.file+": "+fmt.Sprintf(format, args...))
}

func (r *reading) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// config is what the recipe becomes.
func (r *reading) config() file {
	model, slurm := r.top.in("model"), r.top.in("slurm")
	r.model = model.text("path")
	if r.model == "" {
		r.bad("model.path is missing")
	}
	if !strings.Contains(r.model, "/") {
		r.note("model.path: %s may be an alias of srtslurm.yaml: write the path or the model's full name", r.model)
	}
	_ = model.text("precision") // says what the model is, and changes nothing
	c := cluster{Partition: slurm.text("partition"), Account: slurm.text("account"), Time: r.limit(slurm.text("time_limit"))}
	if image := model.text("container"); image != "" {
		c.Container = &container{Image: image, Mounts: r.mounts()}
		if !strings.ContainsAny(image, "/.") {
			r.note("model.container: %s may be an alias of srtslurm.yaml: write the image", image)
		}
	}
	for _, d := range r.top.in("sbatch_directives").list() {
		c.Sbatch = append(c.Sbatch, "--"+d.key+"="+d.value)
	}
	backend := r.top.in("backend")
	r.backend = cmp.Or(backend.text("type"), "sglang")
	if !slices.Contains([]string{"sglang", "vllm", "trtllm"}, r.backend) {
		r.bad("backend.type: %q is none of sglang, vllm, trtllm", r.backend)
	}
	frontend := r.top.in("frontend")
	r.frontend = cmp.Or(frontend.text("type"), "dynamo")
	r.dynamo(backend)
	p := pipeline{Env: r.top.in("environment").pairs()}
	p.Roles = r.roles(backend, frontend, &c)
	name := cmp.Or(r.top.text("name"), "recipe")
	out := file{
		Stage: name, RunsDir: "/shared/ci/runs", Clusters: map[string]cluster{"cluster": c},
		Budgets: map[string]string{"ready": r.ready(c.Time)}, Pipelines: map[string]pipeline{"recipe": p},
		Perf: map[string]bool{"allow_no_baseline": true, "allow_collecting": true},
	}
	r.note("runs_dir: a folder that this machine and the nodes see")
	return r.benchmark(out)
}

// dynamo reads what srt-slurm gives workers beside the flags of the recipe.
func (r *reading) dynamo(backend section) {
	r.plane = cmp.Or(r.top.in("dynamo").text("request_plane"), "tcp")
	if r.backend == "vllm" && r.frontend == "dynamo" {
		r.connector = "nixl"
		if n := backend.find("connector"); n != nil {
			n.HeadComment = read
			if r.connector = n.Value; n.ShortTag() == "!!null" {
				r.connector = "none"
			}
		}
	}
	gpu := r.top.in("resources").text("gpu_type")
	if bind := backend.text("numa_memory_bind"); r.backend == "trtllm" && (bind == "true" || bind == "" && (gpu == "gb200" || gpu == "gb300")) {
		r.numactl = "numactl -m 0,1 "
	}
}

// ready is how long the workers may take: less than the job has.
func (r *reading) ready(limit string) string {
	h := r.top.in("health_check")
	out := time.Duration(h.number("max_attempts")*h.number("interval_seconds")) * time.Second
	if out <= 0 {
		out = time.Hour
	}
	if job, err := time.ParseDuration(limit); err == nil && job > 0 && out >= job {
		out = job * 3 / 4
	}
	return fmt.Sprintf("%.0fm", max(1, out.Minutes()))
}

// limit is a time limit of Slurm's as a duration: [D-]HH:MM:SS, MM:SS or minutes.
func (r *reading) limit(text string) string {
	days, hours, of := strings.Cut(text, "-")
	if !of {
		days, hours = "0", text
	}
	parts := strings.Split(hours, ":")
	d, err := strconv.Atoi(days)
	for _, p := range parts {
		if _, e := strconv.ParseUint(p, 10, 16); e != nil {
			err = e
		}
	}
	switch {
	case text == "":
		return ""
	case err != nil || len(parts) > 3 || of && len(parts) != 3:
		r.note("slurm.time_limit: %s is not HH:MM:SS", text)
		return ""
	case len(parts) == 1:
		return parts[0] + "m"
	case len(parts) == 2:
		return parts[0] + "m" + parts[1] + "s"
	}
	h, _ := strconv.Atoi(parts[0]) // they are digits
	return fmt.Sprintf("%dh%sm%ss", 24*d+h, parts[1], parts[2])
}

// mounts are those of the containers.
func (r *reading) mounts() []string {
	out := r.top.texts("extra_mount")
	for _, m := range r.top.in("container_mounts").list() {
		out = append(out, m.key+":"+m.value)
	}
	return out
}
