package runs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// PruneOptions bound what is kept. A zero bound does not bind.
type PruneOptions struct {
	RunsDir   string
	Keep      int           // newest runs that stay
	OlderThan time.Duration // runs that ended longer ago go
	MaxBytes  int64         // all runs together; the oldest go first
	DryRun    bool
	Now       func() time.Time
	// Finish writes down how the jobs of a run ended whose driver is dead (see Finish).
	// nil = what has open jobs stays for as long as they might run.
	Finish func(rundir.Run, rundir.Dir) error
	// Far removes what a run has behind its login node (RemoveThere), before its
	// directory here goes. If it fails, that stays: nothing else would know of the
	// rest. nil = nothing but here is touched.
	Far func(rundir.Run, rundir.Dir) error
}

// Pruned is one run directory and what became of it.
type Pruned struct {
	Dir     string
	ID      string
	run     rundir.Run
	Ended   time.Time // last sign of life
	Bytes   int64
	Removed bool
	// Protected says that it must stay, whatever the bounds: Why says what it is
	// still needed for.
	Protected bool
	Why       string
}

// Prune removes old run directories. It touches only directories directly below
// RunsDir that hold a run.json of ours, and none that is being driven or may
// still have a job.
func Prune(o PruneOptions) (_ []Pruned, err error) {
	runs, err := o.list()
	if err != nil {
		return nil, err
	}
	errs := []error{o.leftovers()}
	defer func() { err = errors.Join(err, o.binaries()) }()
	var kept int
	var bytes int64
	for i := range runs {
		r := &runs[i]
		if r.Protected {
			bytes += r.Bytes
			continue
		}
		age := o.Now().Sub(r.Ended)
		switch {
		case o.OlderThan > 0 && age > o.OlderThan:
			r.Why = fmt.Sprintf("ended %v ago", age.Round(time.Hour))
		case o.Keep > 0 && kept >= o.Keep:
			r.Why = fmt.Sprintf("more than %d runs", o.Keep)
		case o.MaxBytes > 0 && bytes+r.Bytes > o.MaxBytes:
			r.Why = fmt.Sprintf("more than %d bytes in all", o.MaxBytes)
		default:
			kept++
			bytes += r.Bytes
			continue
		}
		if o.DryRun {
			continue
		}
		if err := o.remove(*r); err != nil {
			errs = append(errs, err)
			continue
		}
		r.Removed = true
	}
	return runs, errors.Join(errs...)
}

// remove removes a run, there and here.
func (o PruneOptions) remove(r Pruned) error {
	if o.Far != nil {
		if err := o.Far(r.run, rundir.Dir(r.Dir)); err != nil {
			return fmt.Errorf("%s stays, because of what it has behind the login node: %w", r.Dir, err)
		}
	}
	return removeHere(r.Dir)
}

// RemoveThere removes what a run has behind its login node, and the binaries there
// that no run holds a link to any more. agentDir is the directory there for
// everything of ours.
func RemoveThere(ctx context.Context, h host.Host, agentDir string, run rundir.Run) error {
	if run.ID == "" || !path.IsAbs(agentDir) {
		return fmt.Errorf("run %q in %q: not a directory of ours", run.ID, agentDir)
	}
	dir := string(jobs.FarRun(agentDir, run))
	// A binary that has just been copied has no link yet.
	const script = `rm -rf -- "$1" && { [ ! -d "$2" ] || find "$2" -type f -links 1 -mmin +60 -exec rm -f -- {} +; }`
	res, err := h.Run(ctx, host.Cmd{Argv: []string{"sh", "-c", script, "sh", dir, jobs.FarBin(agentDir)}, Timeout: 10 * time.Minute})
	if err == nil && res.Exit != 0 {
		err = fmt.Errorf("exit %d: %s", res.Exit, strings.TrimSpace(string(res.Stderr)))
	}
	if err != nil {
		return fmt.Errorf("rm %s:%s: %w", h.Name(), dir, err)
	}
	return nil
}

// removeHere takes the directory out of sight first: one that is half removed
// must not be taken for a run.
func removeHere(dir string) error {
	gone := filepath.Join(filepath.Dir(dir), prunedPrefix+filepath.Base(dir))
	if err := os.Rename(dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

const prunedPrefix = ".pruned-"

// leftovers removes what an earlier prune had only taken out of sight.
func (o PruneOptions) leftovers() error {
	if o.DryRun {
		return nil
	}
	entries, err := entriesOf(o.RunsDir)
	errs := []error{err}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prunedPrefix) {
			errs = append(errs, os.RemoveAll(filepath.Join(o.RunsDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// entriesOf lists a directory of ours, whose entries are links, too. None has none.
func entriesOf(dir string) ([]fs.DirEntry, error) {
	tree, err := rundir.OpenTree(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = tree.Close() }() // only read from
	return tree.List(dir)
}

// fresh is how long a binary may be without a link: one that has just been copied has
// none yet.
const fresh = time.Hour

// binaries removes the shared binaries that no run holds a link to any more.
func (o PruneOptions) binaries() error {
	dir := jobs.SharedBin(o.RunsDir)
	entries, err := entriesOf(dir)
	if o.DryRun {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() || o.Now().Sub(info.ModTime()) < fresh {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 1 {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// list is every run, the newest first.
func (o PruneOptions) list() ([]Pruned, error) {
	entries, err := entriesOf(o.RunsDir)
	if err != nil {
		return nil, err
	}
	var runs []Pruned
	for _, e := range entries {
		dir := rundir.Dir(filepath.Join(o.RunsDir, e.Name()))
		var run rundir.Run
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue // a link's run is somebody else's, and prunedPrefix begins with a dot
		}
		err := rundir.ReadJSON(dir.RunFile(), &run)
		if errors.As(err, new(*rundir.NodeError)) || errors.As(err, new(*rundir.SizeError)) {
			p := Pruned{Dir: string(dir), ID: e.Name(), Protected: true, Why: cannotRead(dir, err), Bytes: treeSize(string(dir))}
			if info, err := e.Info(); err == nil {
				p.Ended = info.ModTime()
			}
			runs = append(runs, p)
			continue // a job has put it there
		}
		if err != nil || run.ID == "" {
			continue // not ours, or of a newer version
		}
		p := Pruned{Dir: string(dir), ID: run.ID, run: run, Ended: run.Created}
		if run.Ended != nil {
			p.Ended = *run.Ended
		}
		held, err := lease.Read(dir.LeaseFile())
		if held != nil && held.Heartbeat.After(p.Ended) {
			p.Ended = held.Heartbeat
		}
		p.Why = o.protected(p, held, err)
		p.Protected = p.Why != ""
		p.Bytes = treeSize(string(dir))
		runs = append(runs, p)
	}
	slices.SortFunc(runs, func(a, b Pruned) int { return b.Ended.Compare(a.Ended) })
	return runs, nil
}

// openFor is how long an attempt without outcome protects its run: longer than
// any job runs.
const openFor = 8 * 24 * time.Hour

// protected says why a run must stay, "" when it may go. What cannot be read is
// no proof that nobody needs it.
func (o PruneOptions) protected(p Pruned, held *rundir.Lease, unread error) string {
	dir := rundir.Dir(p.Dir)
	if held != nil && lease.Lives(*held, o.Now()) {
		return "is being driven"
	}
	open, err := Open(dir)
	if err := errors.Join(unread, err); err != nil {
		return cannotRead(dir, err)
	}
	if len(open) > 0 && o.Finish != nil && !o.DryRun && (held == nil || held.Released == nil || !held.Detached) {
		if err := o.Finish(p.run, dir); err != nil {
			return "how its jobs ended cannot be found out: " + line(err)
		}
		if open, err = Open(dir); err != nil {
			return err.Error()
		}
	}
	for _, j := range open {
		if o.Now().Sub(j.Job.Intent) < openFor {
			return "job " + j.Job.ID + " has no outcome yet"
		}
	}
	return ""
}

func cannotRead(dir rundir.Dir, err error) string {
	return "its records cannot be read (remove " + string(dir) + " by hand when it is not needed): " + line(err)
}

// treeSize is the room of what can be seen and goes with the run: a job's own files may
// be closed to us, and a file with further links stays.
func treeSize(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // counts as nothing
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 1 {
			n += min(info.Size(), st.Blocks*512) // a file with holes takes less room than its size says
		}
		return nil
	})
	return n
}
