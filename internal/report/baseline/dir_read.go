package baseline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// History reads the newest files of one branch of one series, and its acts.
func (s *dirStore) History(ctx context.Context, q Query) (History, error) {
	var h History
	err := within(ctx, func() error {
		got, err := s.history(ctx, q)
		if err == nil {
			h = got
		}
		return err
	})
	if err != nil {
		return History{}, s.unavailable(err)
	}
	return h, nil
}

func (s *dirStore) history(ctx context.Context, q Query) (History, error) {
	if err := s.marked(); err != nil {
		return History{}, err
	}
	r := reader{ctx: ctx, root: s.root}
	pick := newPicker(q)
	tracks := func(name string) []string {
		var dirs []string
		for _, key := range pick.keys {
			dirs = append(dirs, filepath.Join(s.caseDir(q.Case), key, name))
		}
		return dirs
	}
	err := r.newestFirst(tracks(trackActs), time.Time{}, time.Time{}, func(rec Record) bool {
		pick.act(rec)
		return true
	})
	if err != nil {
		return History{}, err
	}
	err = r.newestFirst(tracks(branchTrack(NormalBranch(q.Branch))), q.Since, q.Before, pick.run)
	if err != nil {
		return History{}, err
	}
	if err := s.takeSiblings(ctx, pick); err != nil {
		return History{}, err
	}
	if r.bad > r.good {
		return History{}, fmt.Errorf("%d of %d records cannot be read: %s", r.bad, r.bad+r.good, strings.Join(r.warnings, "; "))
	}
	h := pick.history()
	h.Warnings = append(r.warnings, h.Warnings...)
	h.sayNew(s, s.made)
	return h, nil
}

// takeSiblings tells a picker that has its runs of the series that go on with them, too. The records of others are not
// read.
func (s *dirStore) takeSiblings(ctx context.Context, pick *picker) error {
	inherits := pick.inherits()
	for match, err := range s.siblings(pick.q.Case) {
		if err != nil {
			return err
		}
		if !inherits || len(pick.claims(match)) == 0 {
			continue
		}
		counts, err := s.counts(ctx, pick.q.Case, match)
		if err != nil {
			return err
		}
		if counts {
			pick.sibling(match)
		}
	}
	return nil
}

// siblings are the match values of the series of a case. A series without its file is
// one that another process makes this moment.
func (s *dirStore) siblings(caseID string) iter.Seq2[map[string]string, error] {
	return func(yield func(map[string]string, error) bool) {
		keys, err := names(s.caseDir(caseID))
		if err != nil {
			yield(nil, err)
			return
		}
		for _, key := range keys {
			var head seriesHead
			err := rundir.ReadJSON(filepath.Join(s.caseDir(caseID), key, dirSeries), &head)
			if ignored(key) || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || head.Case == caseID {
				if !yield(head.Match, err) {
					return
				}
			}
		}
	}
}

// counts reports whether a series has a run that counts, on any branch. As a rule the newest one does, and no other is
// read.
func (s *dirStore) counts(ctx context.Context, caseID string, match map[string]string) (found bool, err error) {
	dir := s.seriesDir(caseID, match)
	tracks, err := names(dir)
	if err != nil {
		return false, err
	}
	tracks = slices.DeleteFunc(tracks, func(t string) bool { return !strings.HasPrefix(t, trackMain) })
	for i, t := range tracks {
		tracks[i] = filepath.Join(dir, t)
	}
	r := reader{ctx: ctx, root: s.root, atOnce: 1}
	err = r.newestFirst(tracks, time.Time{}, time.Time{}, func(rec Record) bool {
		found = rec.Counts() && rec.Case == caseID
		return !found
	})
	return found || r.bad > 0, err // what cannot be read may count, as a newer version's
}

// reader reads records and keeps account of what could not be read.
type reader struct {
	ctx       context.Context // of the one call that it lives for
	root      string
	good, bad int
	warnings  []string
	atOnce    int // files that newestFirst reads before it asks whether that is enough; 0 = as many as are soon read
}

const maxWarnings = 20

func (r *reader) warn(path, format string, args ...any) {
	r.bad++
	if len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, r.rel(path)+" is left out: "+fmt.Sprintf(format, args...))
	}
}

func (r *reader) rel(path string) string {
	rel, err := filepath.Rel(r.root, path)
	if err != nil {
		return path
	}
	return rel
}

// newestFirst gives the records of some tracks from new to old, until fn has
// enough. Only months and files in [since, before) are opened.
func (r *reader) newestFirst(tracks []string, since, before time.Time, fn func(Record) bool) error {
	inMonth := map[string][]string{} // directories
	for _, dir := range tracks {
		months, err := names(dir)
		if err != nil {
			return err
		}
		for _, month := range months {
			first, err := time.Parse(monthForm, month)
			switch {
			case err != nil && ignored(month):
			case err != nil:
				r.warn(filepath.Join(dir, month), "not a month of a store")
			case !before.IsZero() && !first.Before(before) || !since.IsZero() && !first.AddDate(0, 1, 0).After(since):
			default:
				inMonth[month] = append(inMonth[month], filepath.Join(dir, month))
			}
		}
	}
	for _, month := range slices.Backward(slices.Sorted(maps.Keys(inMonth))) {
		more, err := r.month(inMonth[month], since, before, fn)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (r *reader) month(dirs []string, since, before time.Time, fn func(Record) bool) (more bool, err error) {
	var files []string
	for _, dir := range dirs {
		own, err := r.recordFiles(dir, since, before)
		if err != nil {
			return false, err
		}
		files = append(files, own...)
	}
	slices.SortStableFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(b), filepath.Base(a)) }) // names begin with the time
	for batch := range slices.Chunk(files, cmp.Or(r.atOnce, 4*readersMax)) {
		records, err := r.read(batch)
		if err != nil {
			return false, err
		}
		for _, rec := range records {
			if !fn(rec) {
				return false, nil
			}
		}
	}
	return true, nil
}

// recordFiles lists the paths of a month's record files, oldest first.
func (r *reader) recordFiles(dir string, since, before time.Time) ([]string, error) {
	all, err := names(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range all {
		if ignored(name) {
			continue
		}
		at, ok := fileTime(name)
		if !ok {
			r.warn(filepath.Join(dir, name), "not a record of a store")
			continue
		}
		// A name has whole seconds; the record's own time decides at the edges.
		if !since.IsZero() && at.Before(since.Truncate(time.Second)) || !before.IsZero() && at.After(before) {
			continue
		}
		files = append(files, filepath.Join(dir, name))
	}
	return files, nil
}

// fileTime is the time in a record's file name.
func fileTime(name string) (time.Time, bool) {
	id, ok := strings.CutSuffix(name, recordExt)
	stamp, hash, dash := strings.Cut(id, "-")
	if !ok || !dash || len(hash) != 16 {
		return time.Time{}, false
	}
	at, err := time.Parse(idTime, stamp)
	return at, err == nil
}

// ignored are files that are no concern of a reader: another writer's temporary
// file, what NFS keeps of a file that was removed while open, snapshots.
func ignored(name string) bool { return strings.HasPrefix(name, ".") || name == "lost+found" }

// names lists a directory, sorted. One that is not there is empty: the store
// itself has been checked.
func names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := f.Readdirnames(-1) // sorted below; no stat of each file, as os.ReadDir may need
	err = errors.Join(err, f.Close())
	slices.Sort(list)
	return list, err
}

// read reads some files at once, in order. A file that is not a
// record is left out with a warning; a file system that fails is an error.
func (r *reader) read(files []string) ([]Record, error) {
	type result struct {
		rec Record
		err error
	}
	results := make([]result, len(files))
	var g errgroup.Group
	g.SetLimit(readersMax)
	for i, path := range files {
		g.Go(func() error {
			rec, err := readRecord(path)
			results[i] = result{rec, err}
			return nil
		})
	}
	_ = g.Wait()
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	var out []Record
	for i, res := range results {
		var broken *brokenError
		switch {
		case res.err == nil:
			r.good++
			out = append(out, res.rec)
		case errors.Is(res.err, fs.ErrNotExist): // pruned since it was listed
		case errors.As(res.err, &broken):
			r.warn(files[i], "%v", res.err)
		default:
			return nil, res.err
		}
	}
	return out, nil
}

// brokenError is a file that could be read and is not a record.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

func readRecord(path string) (Record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // the other end of a FIFO is not waited for
	if err != nil {
		return Record{}, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Record{}, errors.Join(&brokenError{errors.New("no regular file")}, err, f.Close())
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxRecord+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return Record{}, err
	}
	r, err := ParseRecord(data)
	if err != nil {
		return Record{}, &brokenError{err}
	}
	if r.ID+recordExt != filepath.Base(path) {
		return Record{}, &brokenError{fmt.Errorf("it holds the record %s", r.ID)}
	}
	return r, nil
}

// ParseRecord reads one record and checks it.
func ParseRecord(data []byte) (Record, error) {
	var r Record
	if len(data) > MaxRecord {
		return r, fmt.Errorf("longer than %d bytes", MaxRecord)
	}
	err := json.Unmarshal(data, &r)
	var wrongType *json.UnmarshalTypeError
	switch {
	case r.Schema > Schema: // a field of another type does not end the decoding
		return r, fmt.Errorf("schema %d is newer than this ci-disagg understands (%d)", r.Schema, Schema)
	case errors.As(err, &wrongType):
		return r, fmt.Errorf("not a record (%w)", err)
	case err != nil:
		return r, fmt.Errorf("not complete JSON (%w)", err)
	}
	return r, r.Validate()
}

// walk visits every record that passes the filter, series by series, old to
// new. Directories that the filter rules out are not opened.
func (s *dirStore) walk(ctx context.Context, f Filter, fn func(path string, r Record) error) ([]string, error) {
	r := reader{ctx: ctx, root: s.root}
	top := filepath.Join(s.root, dirCases)
	cases, err := names(top)
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		if ignored(c) || f.Case != "" && c != rundir.Slug(f.Case) {
			continue
		}
		series, err := names(filepath.Join(top, c))
		if err != nil {
			return r.warnings, err
		}
		for _, key := range series {
			if err := r.walkSeries(filepath.Join(top, c, key), f, fn); err != nil {
				return r.warnings, err
			}
		}
	}
	if hidden := r.bad - len(r.warnings); hidden > 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("%d more files are left out", hidden))
	}
	return r.warnings, nil
}

func (r *reader) walkSeries(dir string, f Filter, fn func(string, Record) error) error {
	tracks, err := names(dir)
	if err != nil {
		return err
	}
	for _, t := range tracks {
		if t == dirSeries || ignored(t) || !f.wantsTrack(t) {
			continue
		}
		months, err := names(filepath.Join(dir, t))
		if err != nil {
			return err
		}
		for _, m := range months {
			if err := r.walkMonth(filepath.Join(dir, t, m), f, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) walkMonth(dir string, f Filter, fn func(string, Record) error) error {
	files, err := r.recordFiles(dir, f.Since, f.Before)
	if err != nil {
		return err
	}
	if len(f.IDs) > 0 {
		files = slices.DeleteFunc(files, func(path string) bool {
			return !slices.Contains(f.IDs, strings.TrimSuffix(filepath.Base(path), recordExt))
		})
	}
	for batch := range slices.Chunk(files, 4*readersMax) {
		records, err := r.read(batch)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if !f.Passes(rec) {
				continue
			}
			if err := fn(filepath.Join(dir, rec.ID+recordExt), rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantsTrack reports whether a track can hold what the filter wants.
func (f Filter) wantsTrack(t string) bool {
	runs := len(f.Kinds) == 0 || slices.Contains(f.Kinds, KindRun)
	acts := len(f.Kinds) == 0 || len(f.Kinds) > 1 || !runs
	switch t {
	case trackActs:
		return acts && f.Mode == "" && !f.Counts
	case trackPR:
		return runs && (f.Mode == "" || f.Mode == ModePR) && !f.Counts
	case trackPairs:
		return runs && (f.Mode == "" || f.Mode == ModeSession) && !f.Counts
	case trackBisect:
		return runs && (f.Mode == "" || f.Mode == ModeBisect) && !f.Counts
	case trackReference:
		return runs && (f.Mode == "" || f.Mode == ModeReference) && !f.Counts
	default:
		return runs && (f.Mode == "" || f.Mode == ModeNightly) && (f.Branch == "" || t == branchTrack(f.Branch))
	}
}
