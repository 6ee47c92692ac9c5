package baseline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// The layout of a directory store:
//
//	PATH/ci-disagg-store.json
//	PATH/cases/<case>/<match>/series.json                   case and match values in full
//	PATH/cases/<case>/<match>/branch-<branch>/<YYYY-MM>/<id>.json
//	PATH/cases/<case>/<match>/pr/<YYYY-MM>/<id>.json
//	PATH/cases/<case>/<match>/acts/<YYYY-MM>/<id>.json
//
// An id begins with the time, so the newest records of a series are found by
// listing one or two months, however many there are in all. Where a record is
// follows from its identity alone; storing it again replaces it. Files are
// written by temporary name, fsync and rename; there are no locks, and no file
// is ever written by two.
const (
	dirMarker      = "ci-disagg-store.json"
	dirCases       = "cases"
	dirSeries      = "series.json"
	trackPR        = "pr"
	trackBisect    = "bisect"
	trackPairs     = "ab"
	trackReference = "reference"
	trackActs      = "acts"
	trackMain      = "branch-"
	monthForm      = "2006-01"
	recordExt      = ".json"
	MaxRecord      = 16 << 20 // bytes of one record: longer ones are none
	readersMax     = 8        // NFS answers many small reads at once much faster than in turn
)

type dirStore struct {
	root string
	// Modes follow the root directory: a store that a team shares by group
	// permissions stays shared, whatever the umask of a writer.
	dirMode, fileMode fs.FileMode

	made bool // by this process: there is no history, and that is said
}

type marker struct {
	Schema int    `json:"schema"`
	What   string `json:"what"`
}

// OpenDir opens the directory store at path. With create, a directory that is not
// there is made a store, and every history says that it is new. One that is there
// without a marker is an UnavailableError for all but Create, because an empty mount
// point and an empty store look the same.
func OpenDir(path string, create bool) (Store, error) { return openDir(path, create, false) }

func openDir(path string, create, adopt bool) (Store, error) {
	if path == "" {
		return nil, errors.New("baseline store dir: has no path: give dir:PATH")
	}
	s := &dirStore{root: filepath.Clean(path)}
	if create {
		if near := s.neighbour(); near != "" {
			return nil, s.misspelt(near)
		}
		if err := s.makeAbsent(); err != nil {
			return nil, s.unavailable(err)
		}
	}
	info, err := os.Stat(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		if near := s.neighbour(); near != "" {
			return nil, s.unavailable(fmt.Errorf("the directory does not exist; did you mean %q, which lies beside it?", near))
		}
		return nil, s.unavailable(cmp.Or(s.unmounted(), errors.New("the directory does not exist; a run that saves creates it")))
	}
	if err != nil {
		return nil, s.unavailable(err)
	}
	if !info.IsDir() {
		return nil, s.unavailable(errors.New("not a directory"))
	}
	s.modes(info)
	if err := s.checkMarker(create, adopt); err != nil {
		return nil, err // and no store, which would be asked all the same
	}
	return s, nil
}

func (s *dirStore) modes(info fs.FileInfo) {
	s.dirMode = info.Mode() & (fs.ModePerm | fs.ModeSetgid)
	s.fileMode = info.Mode() & 0o666
}

// makeAbsent makes a store where nothing is, and not its parents: where those are missing
// a file system is not mounted. It appears with its marker: an empty directory is never
// one that another process is about to make a store.
func (s *dirStore) makeAbsent() error {
	if _, err := os.Stat(s.root); !errors.Is(err, fs.ErrNotExist) {
		return nil // whatever is wrong is said by who opens it
	}
	if err := s.unmounted(); err != nil {
		return err
	}
	fresh := &dirStore{root: filepath.Join(filepath.Dir(s.root), fmt.Sprintf(".%s.new-%x", filepath.Base(s.root), rand.Uint64()))}
	if err := os.Mkdir(fresh.root, 0o777); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh.root) }()
	info, err := os.Stat(fresh.root)
	if err != nil {
		return err
	}
	fresh.modes(info)
	if err := fresh.mark(); err != nil {
		return err
	}
	err = os.Rename(fresh.root, s.root)
	if _, there := os.Stat(s.root); err != nil && there == nil {
		return nil // another process was faster
	}
	s.made = err == nil
	return err
}

// Missing says what is suspicious about a store that is not there: a directory whose
// parent is missing, too, or beside which lies a store of nearly the same name. One
// that is there, or that a first run may well make, is nil.
func Missing(url string) error {
	path, ok := strings.CutPrefix(url, "dir:")
	if !ok || path == "" {
		return nil
	}
	s := &dirStore{root: filepath.Clean(path)}
	if near := s.neighbour(); near != "" {
		return s.misspelt(near)
	}
	if err := s.unmounted(); err != nil {
		return s.unavailable(err)
	}
	return nil
}

// unmounted says that not even the store's parent is there, nil = it is.
func (s *dirStore) unmounted() error {
	parent := filepath.Dir(s.root)
	if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("neither it nor %s is there: misspelt, or its file system is not mounted; %s", parent, createIt)
}

const createIt = "ci-disagg plan --create-store makes it"

// Create makes the store that url names, with whatever is missing above it, also of a
// directory that is there and has no marker, or opens the one that is there.
func Create(ctx context.Context, url string) (Store, error) {
	if path, ok := strings.CutPrefix(url, "dir:"); ok && path != "" {
		if err := os.MkdirAll(path, 0o777); err != nil {
			return nil, &UnavailableError{Store: url, Err: err}
		}
		return openDir(path, true, true)
	}
	return Open(ctx, url, true)
}

func (s *dirStore) misspelt(near string) error {
	return fmt.Errorf("baseline store %s is not there, but beside it is a store; did you mean %q? If not, %s", s, near, createIt)
}

// neighbour is the store beside a directory that is not there whose name is nearly the
// same, "" if there is none.
func (s *dirStore) neighbour() string {
	if _, err := os.Stat(s.root); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	beside, _ := os.ReadDir(filepath.Dir(s.root)) // what cannot be read is no guess
	var names []string
	for _, e := range beside {
		_, err := os.Lstat(filepath.Join(filepath.Dir(s.root), e.Name(), dirMarker))
		if err == nil && e.Name() != filepath.Base(s.root) && !strings.HasPrefix(e.Name(), ".") { // another writer may have made it a moment ago
			names = append(names, e.Name())
		}
	}
	return strictyaml.Nearest(filepath.Base(s.root), names)
}

func (s *dirStore) checkMarker(create, adopt bool) error {
	var m marker
	err := rundir.ReadJSON(filepath.Join(s.root, dirMarker), &m)
	switch {
	case err == nil && m.Schema != Schema:
		return s.unavailable(fmt.Errorf("its %s says schema %d: this ci-disagg understands %d", dirMarker, m.Schema, Schema))
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return s.unavailable(err)
	}
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return s.unavailable(err)
	}
	for _, e := range entries {
		if n := e.Name(); create && !strings.HasPrefix(n, ".") && n != "lost+found" && n != dirMarker && n != dirCases {
			return fmt.Errorf("baseline store %s: the directory holds other things (%s): give an empty or a new one", s, Shorten(n))
		}
	}
	if !adopt {
		return s.unavailable(fmt.Errorf("it has no %s: its file system is not mounted, or it is no store yet; %s one", dirMarker, createIt))
	}
	if err := s.mark(); err != nil {
		return s.unavailable(err)
	}
	s.made = true
	return nil
}

// mark makes the directory a store.
func (s *dirStore) mark() error {
	return s.writeJSON(filepath.Join(s.root, dirMarker), marker{Schema: Schema, What: "ci-disagg baseline store; layout: " + dirCases + "/<case>/<match>/<branch>/<month>/<id>.json"})
}

// marked fails where the store was unmounted since it was opened.
func (s *dirStore) marked() error {
	_, err := os.Stat(filepath.Join(s.root, dirMarker))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the store is gone: its %s is not there any more, or its file system not mounted", dirMarker)
	}
	return err
}

func (s *dirStore) String() string { return "dir:" + s.root }

func (s *dirStore) Close() error { return nil }

func (s *dirStore) unavailable(err error) error {
	return &UnavailableError{Store: s.String(), Err: err}
}

func (s *dirStore) caseDir(caseID string) string {
	return filepath.Join(s.root, dirCases, rundir.Slug(caseID))
}

// seriesDir is the directory of one case with one set of match values.
func (s *dirStore) seriesDir(caseID string, match map[string]string) string {
	return filepath.Join(s.caseDir(caseID), MatchKey(match))
}

// seriesHead is the file that says in full what a series' directory is of.
type seriesHead struct {
	Schema int               `json:"schema"`
	Case   string            `json:"case"`
	Match  map[string]string `json:"match,omitempty"`
}

// track is the directory below a series that the record belongs to.
func track(r Record) string {
	switch {
	case r.Kind != KindRun:
		return trackActs
	case r.Build.Mode == ModePR:
		return trackPR
	case r.Build.Mode == ModeBisect:
		return trackBisect
	case r.Build.Mode == ModeSession:
		return trackPairs
	case r.Build.Mode == ModeReference:
		return trackReference
	default:
		return branchTrack(r.Branch())
	}
}

func branchTrack(branch string) string { return trackMain + rundir.Slug(branch) }

func (s *dirStore) path(r Record) string {
	return filepath.Join(s.seriesDir(r.Case, r.Match), track(r), r.Time.UTC().Format(monthForm), r.ID+recordExt)
}

// Save writes one file per record.
func (s *dirStore) Save(ctx context.Context, records ...Record) (Saved, error) {
	var saved Saved
	records, bad := storable(records)
	done := make(chan Saved, 1) // not shared: an abandoned operation goes on
	err := within(ctx, func() error {
		var saved Saved
		defer func() { done <- saved }()
		if err := s.marked(); err != nil {
			return err
		}
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.saveOne(r, &saved); err != nil {
				return err
			}
		}
		return nil
	})
	select {
	case saved = <-done:
	default:
	}
	if err != nil {
		bad = errors.Join(bad, s.unavailable(err))
	}
	return saved, bad
}

func (s *dirStore) saveOne(r Record, saved *Saved) error {
	path := s.path(r)
	_, err := os.Stat(path)
	there := err == nil
	err = s.writeJSON(path, r)
	if errors.Is(err, fs.ErrNotExist) { // someone pruned the empty month meanwhile
		err = s.writeJSON(path, r)
	}
	if err != nil {
		return err
	}
	if there {
		saved.Replaced++
	} else {
		saved.Added++
	}
	series := filepath.Join(s.seriesDir(r.Case, r.Match), dirSeries)
	if _, err := os.Stat(series); err == nil {
		return nil
	}
	return s.writeJSON(series, seriesHead{Schema, r.Case, r.Match})
}

func (s *dirStore) writeJSON(path string, v any) error {
	if err := s.mkdirs(filepath.Dir(path)); err != nil {
		return err
	}
	return rundir.WriteStream(path, s.fileMode, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		return enc.Encode(v)
	})
}

// mkdirs makes dir and what is missing above it, down from the root.
func (s *dirStore) mkdirs(dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == s.root {
		return err
	}
	if err := s.mkdirs(filepath.Dir(dir)); err != nil {
		return err
	}
	err := os.Mkdir(dir, s.dirMode.Perm())
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Chmod(dir, s.dirMode) // Mkdir's mode is cut by the umask
}

// Delete removes record files, the directories that become empty, and temporary
// files from before f.Before, whose writers died.
func (s *dirStore) Delete(ctx context.Context, f Filter) (int, error) {
	done := make(chan int, 1)
	err := within(ctx, func() error {
		n := 0
		defer func() { done <- n }()
		_, err := s.walk(ctx, f, func(path string, _ Record) error {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			n++
			_ = os.Remove(filepath.Dir(path)) // fails while there is something in it
			return nil
		})
		return errors.Join(err, s.removeLeftovers(ctx, f.Before))
	})
	n := 0
	select {
	case n = <-done:
	default:
	}
	if err != nil {
		return n, s.unavailable(err)
	}
	return n, nil
}

// removeLeftovers removes the temporary files of writers that died long ago.
func (s *dirStore) removeLeftovers(ctx context.Context, before time.Time) error {
	return filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // pruned by someone else meanwhile
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if d.IsDir() || !strings.HasPrefix(d.Name(), ".") || !strings.Contains(d.Name(), recordExt+".tmp-") {
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().Before(before) {
			return nil //nolint:nilerr // a file that is gone is no leftover
		}
		return os.Remove(path)
	})
}

// Each walks the whole store.
func (s *dirStore) Each(ctx context.Context, f Filter, fn func(Record) error) ([]string, error) {
	ctx, cancel := listing(ctx)
	defer cancel()
	var (
		mu       sync.Mutex // a walk that was given up touches nothing of the caller's
		left     bool
		own      error // of fn: not the store's fault
		warnings []string
	)
	err := within(ctx, func() error {
		said, err := s.walk(ctx, f, func(_ string, r Record) error {
			mu.Lock()
			defer mu.Unlock()
			if left {
				return context.Cause(ctx)
			}
			own = fn(r)
			return own
		})
		mu.Lock()
		defer mu.Unlock()
		if !left {
			warnings = said
		}
		return err
	})
	mu.Lock()
	defer mu.Unlock()
	left = true
	if own != nil || err == nil {
		return warnings, own
	}
	return warnings, s.unavailable(err)
}

// within runs op, but does not wait for it longer than ctx allows: a dead NFS
// server blocks a system call for ever. The abandoned operation ends with the
// process.
func within(ctx context.Context, op func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() { done <- op() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
}
