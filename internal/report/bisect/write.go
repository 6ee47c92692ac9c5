package bisect

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// words are what the search says.
func (o *Options) words(f Found) string {
	switch {
	case !o.search().begun():
		return "nothing was measured"
	case f.Settled && f.Nothing > f.Confidence:
		return fmt.Sprintf("no commit made %s slower: the bad one is as fast as the good one (%s)", o.Case, percent(f.Nothing))
	case f.From == f.To && f.Settled:
		return fmt.Sprintf("first slow commit: %s (%s)", o.Commits[f.From], percent(f.Confidence))
	case f.Settled:
		return fmt.Sprintf("first slow commit: one of %.10s to %.10s (%s), which cannot be told apart: those before the last cannot be measured",
			o.Commits[f.From].ID, o.Commits[f.To].ID, percent(f.Confidence))
	default:
		return fmt.Sprintf("not settled: most likely %s (%.0f %%), %.0f %% that there is none", o.Commits[f.From], 100*f.Confidence, 100*f.Nothing)
	}
}

// told is what came of a measurement.
func (o *Options) told(m Measure) string {
	switch {
	case m.Infra:
		return "infrastructure, to be measured again: " + m.Failed
	case m.Skipped:
		return "cannot be measured, and is skipped: " + m.Failed
	case m.Failed != "":
		return "no measurement: " + m.Failed
	default:
		return o.Series + ": " + m.Told
	}
}

// percent is a probability in words: none is certain.
func percent(p float64) string {
	switch {
	case p > 0.999:
		return "over 99.9 %"
	case p < 0.001:
		return "under 0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", 100*p)
	}
}

// write writes the record and the report.
func (o *Options) write(f Found) error {
	if err := rundir.WriteJSON(filepath.Join(o.Dir, RecordFile), o.Record); err != nil {
		return err
	}
	return rundir.WriteFile(filepath.Join(o.Dir, ReportFile), []byte(o.page(f)), rundir.FileMode)
}

// page is the report, in Markdown.
func (o *Options) page(f Found) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n", oneLine(o.Case), oneLine(o.words(f)))
	p := o.search().Posterior()
	measured := map[int][]string{}
	for _, t := range o.Trials {
		switch {
		case t.Skipped:
			measured[t.Commit] = append(measured[t.Commit], "cannot be measured")
		case !t.Infra:
			measured[t.Commit] = append(measured[t.Commit], cmp.Or(t.Told, "no measurement"))
		}
	}
	fmt.Fprintf(&b, "| | commit | first slow one | %s against the good one |\n|---|---|---|---|\n", oneLine(cmp.Or(o.Series, "measured")))
	for i, c := range o.Commits {
		likely := percent(p[i])
		if i == 0 {
			likely = "none: " + likely
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", i, oneLine(c.String()), likely, oneLine(strings.Join(measured[i], "; ")))
	}
	fmt.Fprintf(&b, "\n## Measurements\n\n")
	for i, t := range o.Trials {
		fmt.Fprintf(&b, "%d. %s: %s (`%s`)\n", i+1, oneLine(o.Commits[t.Commit].String()), oneLine(o.told(t)), oneLine(t.Dir))
	}
	return b.String()
}

// oneLine is text that is no markup of a table.
func oneLine(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "`", "'").Replace(s)
}
