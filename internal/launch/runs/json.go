package runs

import (
	"fmt"
	"io"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// Schema is the version of what cancel, sweep and prune print for programs.
const Schema = 1

// CancelledDoc is what cancel -o json prints.
type CancelledDoc struct {
	Schema int            `json:"schema"`
	RunDir string         `json:"run_dir"`
	Jobs   []CancelledJob `json:"jobs"`
}

// CancelledJob is one job that was asked to end.
type CancelledJob struct {
	Case    string `json:"case"` // slug
	Attempt string `json:"attempt_dir"`
	ID      string `json:"job_id,omitempty"`
	Name    string `json:"job_name"`
	What    string `json:"what,omitempty"`  // what became of it, for people
	Error   string `json:"error,omitempty"` // it may go on
}

// Cancelled is what became of the jobs of a run.
func Cancelled(dir string, ended []JobEnd) CancelledDoc {
	out := CancelledDoc{Schema: Schema, RunDir: dir, Jobs: []CancelledJob{}}
	for _, e := range ended {
		out.Jobs = append(out.Jobs, CancelledJob{e.Case, string(e.Attempt), e.Job.ID, e.Job.Name, e.What, text(e.Err)})
	}
	return out
}

// Write prints it for people.
func (d CancelledDoc) Write(w io.Writer) error {
	if len(d.Jobs) == 0 {
		_, err := fmt.Fprintln(w, "no job to cancel")
		return err
	}
	for _, j := range d.Jobs {
		id, says := j.ID, j.What
		if id == "" {
			id = "without an id yet"
		}
		if j.Error != "" {
			says = j.Error
		}
		if _, err := fmt.Fprintf(w, "%s: job %s (%s): %s\n", j.Case, id, j.Name, says); err != nil {
			return err
		}
	}
	return nil
}

// Failed is how many jobs may go on.
func (d CancelledDoc) Failed() int {
	n := 0
	for _, j := range d.Jobs {
		if j.Error != "" {
			n++
		}
	}
	return n
}

// SweptDoc is what sweep -o json prints.
type SweptDoc struct {
	Schema int        `json:"schema"`
	DryRun bool       `json:"dry_run"`
	Jobs   []SweptJob `json:"jobs"`
	Common []string   `json:"common_failures"` // what failures of a day have in common, for people
}

// SweptJob is one job that sweep has looked at.
type SweptJob struct {
	Action string `json:"action"` // see Action of Swept
	Job    string `json:"job_id"`
	Name   string `json:"job_name"`
	Owner  string `json:"owner,omitempty"`
	Dir    string `json:"run_dir,omitempty"`
	Why    string `json:"why"`
	Error  string `json:"error,omitempty"`
}

// Action is what was done: kept, finished, would end, NOT ended, ended.
func (s Swept) Action(dryRun bool) string {
	switch {
	case s.Finished:
		return "finished"
	case !s.Orphan:
		return "kept"
	case dryRun:
		return "would end"
	case s.Err != nil:
		return "NOT ended"
	default:
		return "ended"
	}
}

// SweptAs is what sweep has done.
func SweptAs(found []Swept, dryRun bool, common []string) SweptDoc {
	out := SweptDoc{Schema: Schema, DryRun: dryRun, Jobs: []SweptJob{}, Common: append([]string{}, common...)}
	for _, s := range found {
		out.Jobs = append(out.Jobs, SweptJob{s.Action(dryRun), s.Job, s.Name, s.Owner, s.Dir, s.Why, text(s.Err)})
	}
	return out
}

// Write prints it for people.
func (d SweptDoc) Write(w io.Writer) error {
	var t table.Table
	for _, j := range d.Jobs {
		t.Add(j.Action, j.Job, j.Name, j.Why)
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if len(d.Jobs) == 0 {
		fmt.Fprintln(w, "no live job of ci-disagg")
	}
	for _, text := range d.Common {
		fmt.Fprintln(w, text)
	}
	return nil
}

// PrunedDoc is what prune -o json prints.
type PrunedDoc struct {
	Schema int         `json:"schema"`
	DryRun bool        `json:"dry_run"`
	Freed  int64       `json:"freed_bytes"`
	Runs   []PrunedRun `json:"runs"`
}

// PrunedRun is one run that prune has looked at.
type PrunedRun struct {
	Action string    `json:"action"` // see Action of Pruned
	ID     string    `json:"id"`
	Dir    string    `json:"dir"`
	Bytes  int64     `json:"bytes"`
	Ended  time.Time `json:"ended"` // its last sign of life
	Why    string    `json:"why,omitempty"`
}

// Goes reports whether the run was removed, or would be.
func (p Pruned) Goes(dryRun bool) bool { return p.Removed || dryRun && p.Why != "" && !p.Protected }

const actionKept = "kept"

// Action is what was done: kept, removed, would remove.
func (p Pruned) Action(dryRun bool) string {
	switch {
	case !p.Goes(dryRun):
		return actionKept
	case dryRun:
		return "would remove"
	default:
		return "removed"
	}
}

// PrunedAs is what prune has done.
func PrunedAs(all []Pruned, dryRun bool) PrunedDoc {
	out := PrunedDoc{Schema: Schema, DryRun: dryRun, Runs: []PrunedRun{}}
	for _, p := range all {
		if p.Goes(dryRun) {
			out.Freed += p.Bytes
		}
		out.Runs = append(out.Runs, PrunedRun{p.Action(dryRun), p.ID, p.Dir, p.Bytes, p.Ended.UTC(), p.Why})
	}
	return out
}

// Write prints it for people.
func (d PrunedDoc) Write(w io.Writer) error {
	freed := "freed"
	if d.DryRun {
		freed = "would be freed"
	}
	var t table.Table
	gone := 0
	for _, r := range d.Runs {
		if r.Action != actionKept {
			gone++
		}
		t.Add(r.Action, r.ID, megabytes(r.Bytes), r.Ended.Format("2006-01-02 15:04Z"), r.Why)
	}
	if err := t.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %s, %s %s\n", gone, plain.Count(len(d.Runs), "run"), megabytes(d.Freed), freed)
	return err
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
