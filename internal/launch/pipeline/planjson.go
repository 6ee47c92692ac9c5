package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Schema is the version of the document (docs/plan.md).
const Schema = 2

// Document is what plan -o json prints, and what the table is made of.
type Document struct {
	Schema   int       `json:"schema"`
	Version  string    `json:"version"`
	Config   string    `json:"config,omitempty"`
	Backend  string    `json:"backend"`
	Cluster  string    `json:"cluster,omitempty"`
	Stage    string    `json:"stage"`
	Settings []Setting `json:"settings"`
	Cases    []Case    `json:"cases"`
}

// Setting is one effective value and where it came from.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"` // file:line:column, $NAME or default
}

// Case is one case's plan and what is known about it beside.
type Case struct {
	rundir.Plan
	Baseline string `json:"baseline"`        // what the case would be judged against
	Check    *Check `json:"check,omitempty"` // where Slurm was asked
}

// Check is Slurm's answer to sbatch --test-only.
type Check struct {
	OK     bool   `json:"ok"`
	Answer string `json:"answer"`
}

// Refused is an error that names the cases which Slurm would not take, or which this machine lacks programs for.
func (d Document) Refused() error {
	var bad []string
	for _, c := range d.Cases {
		if c.Check != nil && !c.Check.OK {
			bad = append(bad, fmt.Sprintf("%s: %s", c.Case.ID, plain.Words(c.Check.Answer)))
		}
	}
	if bad == nil {
		return nil
	}
	if d.Backend == rundir.BackendLocal {
		return fmt.Errorf("%d of %s cannot run here:\n%s", len(bad), plain.Count(len(d.Cases), "case"), strings.Join(bad, "\n"))
	}
	return fmt.Errorf("slurm would not take %d of %s:\n%s", len(bad), plain.Count(len(d.Cases), "job"), strings.Join(bad, "\n"))
}

// Settings are the effective values of profile and workload with their origins. goarch is what this program was
// built for.
func (s Suite) Settings(goarch string) []Setting {
	r := s.request
	var out []Setting
	if s.Cluster != "" {
		origin := "default: the only one"
		switch {
		case r.Cluster != "":
			origin = "--cluster"
		case r.Config.Cluster != "":
			origin = r.Doc.At("cluster")
		}
		out = append(out, Setting{Key: "cluster", Value: s.Cluster, From: origin})
		for _, v := range s.Profile.Settings(goarch) {
			p := Setting{Key: "clusters." + s.Cluster + "." + v.Key, Value: v.Value, From: "default"}
			if v.Set {
				p.From = r.Doc.At(p.Key)
			}
			out = append(out, p)
		}
	}
	for _, v := range s.workload.settings() {
		if !s.tests() && !sharedKey(v.Key) {
			continue
		}
		p := Setting{Key: "workload." + v.Key, Value: v.Value, From: v.From}
		if v.From == "config" {
			p.From = r.Doc.At(p.Key)
		}
		out = append(out, p)
	}
	for i, sec := range r.Config.Workload.Secrets {
		at := slices.IndexFunc(out, func(p Setting) bool { return p.Key == fmt.Sprintf("workload.secrets[%d]", i) })
		if at >= 0 && sec.File == "" && r.Getenv(cmp.Or(sec.From, sec.Name)) == "" {
			out[at].Value += " (not set here)"
		}
	}
	return out
}
