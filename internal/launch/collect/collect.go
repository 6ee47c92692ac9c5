// Package collect brings an attempt's files home from behind a login node.
//
// In: a host, the attempt directory there and here, rules. Out: the files here,
// each compared by checksum, and a Bundle that says what was copied, what was
// cut, what was left out and why. Nothing is removed there.
package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/rundir"

	"github.com/bmatcuk/doublestar/v4"
)

// Rules bound what is collected. Zero values stand for the defaults.
type Rules struct {
	Include  []string `yaml:"include"`               // globs on paths relative to the attempt directory, ** for any depth; empty = everything
	Exclude  []string `yaml:"exclude"`               // globs, win over include
	MaxFile  int64    `yaml:"max_file" bounds:"0,"`  // bytes per file, default 256 MiB; of a longer one head and tail are kept
	MaxTotal int64    `yaml:"max_total" bounds:"0,"` // bytes per attempt, default 2 GiB
	MaxFiles int      `yaml:"max_files" bounds:"0,"` // default 20000

	Mask *mask.Masker `yaml:"-"` // of what is kept
}

func (r Rules) orDefaults() Rules {
	if r.MaxFile <= 0 {
		r.MaxFile = 256 << 20
	}
	if r.MaxTotal <= 0 {
		r.MaxTotal = 2 << 30
	}
	if r.MaxFiles <= 0 {
		r.MaxFiles = 20000
	}
	return r
}

// Bundle says what became of every file (bundle.json of the attempt).
type Bundle struct {
	Schema int    `json:"schema"`
	Host   string `json:"host"`
	Dir    string `json:"dir"` // there
	Files  []File `json:"files"`
	Bytes  int64  `json:"bytes"`          // copied
	Over   int    `json:"over,omitempty"` // files over max_files, not in Files
}

// File is one file of a bundle.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"` // there
	SHA256 string `json:"sha256,omitempty"`
	Kept   int64  `json:"kept"`          // bytes that are here
	Why    string `json:"why,omitempty"` // why not all of it is here
}

// BundleFile is where Gather leaves its record, in the attempt directory.
const BundleFile = "bundle.json"

// headShare is the part of a cut file that is its head.
const headShare = 4

// Gather copies the attempt's files from dir on h to localDir. Files that the
// client itself wrote there (job.json, outcome.json) are never overwritten. On an
// error everything copied so far stays, and Gather may simply be called again. With
// ErrIncomplete that would not help: all that the rules allow is here.
func Gather(ctx context.Context, h host.Host, dir, localDir string, r Rules) (Bundle, error) {
	r = r.orDefaults()
	b := Bundle{Schema: rundir.Schema, Host: h.Name(), Dir: dir}
	all, incomplete, err := list(ctx, h, dir, r.MaxFiles)
	if err != nil {
		return b, err
	}
	listed := len(all)
	all, missing := r.choose(all)
	b.Over = listed - len(all)
	if missing > 0 {
		incomplete = errors.Join(fmt.Errorf("%w: %d files are over max_files of %d", ErrIncomplete, missing, r.MaxFiles), incomplete)
	}
	var whole []string
	var cut []host.FileInfo
	sizes := map[string]int64{}
	for _, f := range all {
		file := File{Path: f.Path, Size: f.Size}
		switch {
		case isClients(f.Path):
			continue
		case !r.wants(f.Path):
			file.Why = "left out by the collect rules"
		case strings.Contains(f.Path, "\n"):
			file.Why = "its name holds a line break"
		case b.Bytes >= r.MaxTotal:
			file.Why = fmt.Sprintf("over max_total of %d bytes", r.MaxTotal)
		case f.Size > r.MaxFile || b.Bytes+f.Size > r.MaxTotal:
			file.Kept = min(r.MaxFile, r.MaxTotal-b.Bytes)
			file.Why = fmt.Sprintf("cut: head and tail of %d bytes", f.Size)
			cut = append(cut, f)
		default:
			file.Kept = f.Size
			whole = append(whole, f.Path)
		}
		b.Bytes += file.Kept
		sizes[f.Path] = file.Kept
		b.Files = append(b.Files, file)
	}
	unread, err := fetch(ctx, h, dir, localDir, whole, b.Files)
	if err = errors.Join(err, drop(localDir, unread)); err != nil {
		return b, err
	}
	for _, f := range cut {
		ok, err := fetchCut(ctx, h, dir, localDir, f, sizes[f.Path])
		if err != nil {
			return b, err
		}
		if !ok {
			unread = append(unread, f.Path)
		}
	}
	if len(unread) > 0 {
		b.without(unread)
		incomplete = errors.Join(incomplete, fmt.Errorf("%w: %d cannot be read there, the first is %s", ErrIncomplete, len(unread), unread[0]))
	}
	return b, errors.Join(rundir.WriteJSON(filepath.Join(localDir, BundleFile), b), incomplete)
}

// drop removes copies of what could not be read afterwards: a link may have stood on the way when they were made.
func drop(localDir string, unread []string) error {
	var errs []error
	for _, p := range unread {
		if err := os.Remove(filepath.Join(localDir, p)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// without notes files that are there and could not be read.
func (b *Bundle) without(unread []string) {
	for i := range b.Files {
		if f := &b.Files[i]; slices.Contains(unread, f.Path) {
			b.Bytes -= f.Kept
			f.Kept, f.Why = 0, "could not be read there"
		}
	}
}

// choose puts what is wanted first, the most useful in front, and drops what is
// over the bound; missing is how many of those were wanted. It sorts all in place.
func (r Rules) choose(all []host.FileInfo) (chosen []host.FileInfo, missing int) {
	unwanted := make(map[string]bool)
	for _, f := range all {
		if !r.wants(f.Path) {
			unwanted[f.Path] = true
		}
	}
	slices.SortFunc(all, func(x, y host.FileInfo) int {
		switch ux, uy := unwanted[x.Path], unwanted[y.Path]; {
		case ux == uy:
			return compare(x, y)
		case ux:
			return 1
		default:
			return -1
		}
	})
	return all[:min(len(all), r.MaxFiles)], max(0, len(all)-len(unwanted)-r.MaxFiles)
}

// ErrIncomplete says that not every file there could be considered.
var ErrIncomplete = errors.New("not every file was collected")

// listMost bounds the list that the most useful files are chosen from.
const listMost = 100_000

// list is every file there. When they are too many even to be listed, it still has
// those directly in dir, and those of the roles, which reports are made of.
func list(ctx context.Context, h host.Host, dir string, most int) (all []host.FileInfo, incomplete, err error) {
	all, err = h.List(ctx, dir, max(most, listMost))
	if !errors.Is(err, host.ErrPartial) {
		return all, nil, err
	}
	incomplete = fmt.Errorf("%w: %w", ErrIncomplete, err)
	have := make(map[string]bool, len(all))
	for _, f := range all {
		have[f.Path] = true
	}
	for k := range maxRuns {
		roles := path.Join(runName(k), "roles")
		more, err := h.List(ctx, path.Join(dir, roles), max(most, listMost))
		if err != nil && !errors.Is(err, host.ErrPartial) {
			break // there are no more runs, perhaps none
		}
		for _, f := range more {
			f.Path = path.Join(roles, f.Path)
			if !have[f.Path] {
				all = append(all, f)
			}
		}
	}
	return all, incomplete, nil
}

// maxRuns bounds the runs of a job that are looked at one by one.
const maxRuns = 100

// runName is the directory of run k, relative to the attempt's.
func runName(k int) string { return filepath.Base(string(rundir.AttemptDir("").Run(k))) }

// inRun is a path without the directory of its run.
func inRun(p string) string {
	if top, rest, ok := strings.Cut(p, "/"); ok && strings.HasPrefix(top, "run-") {
		return rest
	}
	return p
}

// compare puts what a report needs first in front, so that a bound cuts the least
// useful: the attempt's own records, results, other records, logs, then by path.
func compare(x, y host.FileInfo) int {
	if d := rank(x.Path) - rank(y.Path); d != 0 {
		return d
	}
	return strings.Compare(x.Path, y.Path)
}

func rank(p string) int {
	p = inRun(p)
	top, role := !strings.Contains(p, "/"), strings.HasPrefix(p, "roles/")
	record := strings.HasSuffix(p, ".json") || strings.HasSuffix(p, ".xml")
	switch {
	case top && record:
		return 0
	case role && record:
		return 1
	case top, role:
		return 2
	case record:
		return 3
	default:
		return 4
	}
}

func isClients(p string) bool {
	return p == "job.json" || p == "outcome.json" || p == BundleFile
}

func (r Rules) wants(p string) bool {
	match := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { return Match(g, p) })
	}
	return (len(r.Include) == 0 || match(r.Include)) && !match(r.Exclude)
}

// Match reports whether a slash-separated path matches a glob, in which ** stands
// for any number of directories, * and ? for what is no slash.
func Match(glob, p string) bool {
	ok, err := doublestar.Match(glob, p)
	return ok && err == nil
}

// fetch copies whole files and compares the checksums of both sides. A file that
// still changes (its writer has not been reaped) is fetched once more. unread are
// those that could not be read.
func fetch(ctx context.Context, h host.Host, dir, localDir string, paths []string, files []File) (unread []string, err error) {
	here := host.NewHere(nil)
	for range 3 {
		if len(paths) == 0 {
			return unread, nil
		}
		if err := h.Pull(ctx, dir, localDir, paths); err != nil && !errors.Is(err, host.ErrUnread) {
			return unread, err
		}
		theirs, err := sums(ctx, h, dir, paths)
		if err != nil {
			return unread, err
		}
		ours, err := sums(ctx, here, localDir, paths)
		if err != nil {
			return unread, err
		}
		var again []string
		for _, p := range paths {
			switch {
			case theirs[p] == "":
				unread = append(unread, p)
			case ours[p] != theirs[p]:
				again = append(again, p)
			default:
				i := slices.IndexFunc(files, func(f File) bool { return f.Path == p })
				files[i].SHA256 = ours[p]
			}
		}
		paths = again
	}
	if len(paths) == 0 {
		return unread, nil
	}
	err = fmt.Errorf("%w: %s", ErrChanging, strings.Join(paths, ", "))
	return unread, errors.Join(err, reread(ctx, h, dir, localDir, paths))
}

// reread puts what is read over no link in the place of copies that never were their originals: a link may have stood
// on the way whenever they were made, so what they hold may be anybody's. Of a long file it is
// the beginning.
func reread(ctx context.Context, h host.Host, dir, localDir string, paths []string) error {
	errs := []error{drop(localDir, paths)}
	for _, p := range paths {
		full := path.Join(dir, p)
		got, err := readAt(ctx, h, maxPart, full, 0)
		if data, ok := got[full]; ok && err == nil {
			err = rundir.WriteFile(filepath.Join(localDir, p), data, rundir.FileMode)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ErrChanging says that files differ after three copies.
var ErrChanging = errors.New("files differ from their originals after three copies")

func sums(ctx context.Context, h host.Host, dir string, paths []string) (map[string]string, error) {
	full := make([]string, len(paths))
	for i, p := range paths {
		full[i] = path.Join(dir, p)
	}
	got, err := h.Checksum(ctx, full...)
	out := map[string]string{}
	for i, p := range paths {
		out[p] = got[full[i]]
	}
	return out, err
}

// fetchCut keeps head and tail of a file that is too long, with a line between
// them that says what is missing and where it is. false = it could not be read.
func fetchCut(ctx context.Context, h host.Host, dir, localDir string, f host.FileInfo, keep int64) (bool, error) {
	size, full := f.Size, path.Join(dir, f.Path)
	head := min(keep/headShare, maxPart)
	tail := min(keep-head, maxPart)
	first, err := readAt(ctx, h, head, full, 0)
	if err != nil {
		return false, err
	}
	last, err := readAt(ctx, h, tail, full, size-tail)
	if err != nil || len(first[full])+len(last[full]) == 0 {
		return false, err
	}
	note := fmt.Sprintf("\n[ci-disagg: %d of %d bytes left out; the original is %s:%s]\n", size-head-tail, size, h.Name(), full)
	data := bytes.Join([][]byte{first[full], []byte(note), last[full]}, nil)
	return true, rundir.WriteFile(filepath.Join(localDir, f.Path), data, rundir.FileMode)
}

// readAt is a part of a file, nothing of one that cannot be read.
func readAt(ctx context.Context, h host.Host, most int64, full string, from int64) (map[string][]byte, error) {
	got, err := h.ReadAt(ctx, int(most), map[string]int64{full: from})
	if errors.Is(err, host.ErrUnread) {
		err = nil
	}
	return got, err
}

// maxPart bounds what of a cut file passes through memory.
const maxPart = 32 << 20
