package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Bounds of what is read at once.
const (
	maxRecord  = 64 << 20 // bytes of a JSON record
	maxEntries = 100_000  // names of one directory
)

// Tree is a run directory (or one attempt's) opened for reading and writing. The
// software under test writes below it, as the same user, so nothing there is
// trusted to be what its name says. Every path is opened below the directory's own
// descriptor (os.Root), so nothing outside it is ever reached, whatever is renamed
// meanwhile; a symbolic link anywhere in a path is refused; and only regular files
// are opened, without ever waiting for the other end of a FIFO. A refusal is a
// NodeError or a SizeError. A hard link is the regular file that it is.
//
// Methods take the paths that Dir, CaseDir and AttemptDir give, which begin with the
// tree's own directory. FS is the view for readers that want paths relative to a
// directory. A Tree is safe for concurrent use.
type Tree struct {
	dir  string
	root *os.Root

	// Mask, where it is set, goes over every record before it is written: nothing of a
	// secret is kept.
	Mask func([]byte) []byte

	mu    sync.Mutex
	opens map[string]int
}

// OpenTree opens dir, which must exist and may itself be reached by links.
func OpenTree(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{dir: filepath.Clean(dir), root: root, opens: map[string]int{}}, nil
}

// Tree opens the run directory.
func (d Dir) Tree() (*Tree, error) { return OpenTree(string(d)) }

// Tree opens the run directory that the attempt lies in, so that the way to the attempt
// is not trusted either; the attempt's directory alone where it lies in none.
func (a AttemptDir) Tree() (*Tree, error) { return TreeOf(a.PlanFile()) }

// TreeOf opens the run directory that path lies in, by its layout: what is below it may
// be the work of the software under test. A path of another kind is opened with its
// directory.
func TreeOf(path string) (*Tree, error) {
	dir, _ := Within(path)
	return OpenTree(dir)
}

// Within cuts a path of a case into its run directory and the rest; any other into its
// directory and its name.
func Within(path string) (dir, rel string) {
	path = filepath.Clean(path)
	for at := len(path); ; {
		if at = strings.LastIndex(path[:at], casesPart); at < 0 {
			return filepath.Dir(path), filepath.Base(path)
		}
		rest := strings.Split(path[at+len(casesPart):], string(filepath.Separator))
		if at > 0 && len(rest) > 1 && (rest[1] == "plan.json" || strings.HasPrefix(rest[1], "rep-")) {
			return path[:at], path[at+1:]
		}
	}
}

const casesPart = string(filepath.Separator) + "cases" + string(filepath.Separator)

// Close closes the directory. Files that were opened stay open.
func (t *Tree) Close() error { return t.root.Close() }

// Opens is how often each file has been opened, by its path relative to the tree:
// tests hold against it that a session reads each file once.
func (t *Tree) Opens() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.opens)
}

// Node is what a path turned out to be, in words.
type Node string

// What can be in the place of a regular file, or of a directory.
const (
	NodeFile      Node = "a regular file"
	NodeDirectory Node = "a directory"
	NodeLink      Node = "a symbolic link"
	NodeFIFO      Node = "a FIFO"
	NodeSocket    Node = "a socket"
	NodeDevice    Node = "a device"
	NodeReplaced  Node = "replaced while it was opened"
	NodeUnknown   Node = "no regular file"
)

// NodeError reports that a path is not what was to be opened.
type NodeError struct {
	Path string // the part of the path that it is about
	Is   Node
	Want Node
}

func (e *NodeError) Error() string { return fmt.Sprintf("%s is %s, not %s", e.Path, e.Is, e.Want) }

// SizeError reports that something is larger than what is read of its kind.
type SizeError struct {
	Path  string
	Limit int64
	Unit  string // bytes, or entries of a directory
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s is too large: more than %d %s", e.Path, e.Limit, e.Unit)
}

func nodeOf(m fs.FileMode) Node {
	switch {
	case m.IsRegular():
		return NodeFile
	case m.IsDir():
		return NodeDirectory
	case m&fs.ModeSymlink != 0:
		return NodeLink
	case m&fs.ModeNamedPipe != 0:
		return NodeFIFO
	case m&fs.ModeSocket != 0:
		return NodeSocket
	case m&fs.ModeDevice != 0:
		return NodeDevice
	}
	return NodeUnknown
}

// rel is path relative to the tree.
func (t *Tree) rel(path string) (string, error) {
	rel, err := filepath.Rel(t.dir, path)
	if err != nil {
		return "", err
	}
	if !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is not below %s", path, t.dir)
	}
	return rel, nil
}

// inDirectories checks that every directory on the way to rel is one. A link that
// takes the place of one afterwards can lead to another file of the tree at most.
func (t *Tree) inDirectories(rel string) error {
	for i, c := range rel {
		if c != filepath.Separator {
			continue
		}
		if _, err := t.look(rel[:i], NodeDirectory); err != nil {
			return err
		}
	}
	return nil
}

// look is rel's own entry, which must be what is wanted.
func (t *Tree) look(rel string, want Node) (fs.FileInfo, error) {
	info, err := t.root.Lstat(rel)
	if err != nil {
		return nil, t.named(rel, err)
	}
	if is := nodeOf(info.Mode()); is != want {
		return nil, &NodeError{Path: filepath.Join(t.dir, rel), Is: is, Want: want}
	}
	return info, nil
}

// named is err with the whole path in it.
func (t *Tree) named(rel string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: strings.TrimSuffix(p.Op, "at"), Path: filepath.Join(t.dir, rel), Err: p.Err}
	}
	return err
}

// open opens rel, which must be what is wanted, with flag. Records are replaced by
// rename while others read them: what was replaced between the look and the opening is
// looked at again.
func (t *Tree) open(rel string, flag int, want Node) (*os.File, fs.FileInfo, error) {
	const looks = 50 // a record is rewritten every few seconds; who replaces a file faster wants no reader
	for i := 1; ; i++ {
		f, info, err := t.openOnce(rel, flag, want)
		var node *NodeError
		if i < looks && errors.As(err, &node) && node.Is == NodeReplaced {
			continue
		}
		return f, info, err
	}
}

func (t *Tree) openOnce(rel string, flag int, want Node) (*os.File, fs.FileInfo, error) {
	if err := t.inDirectories(rel); err != nil {
		return nil, nil, err
	}
	seen, err := t.look(rel, want)
	if err != nil {
		return nil, nil, err
	}
	f, err := t.root.OpenFile(rel, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, t.named(rel, err)
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(seen, info) {
		err = &NodeError{Path: filepath.Join(t.dir, rel), Is: NodeReplaced, Want: want}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// Open opens a regular file for reading. It bounds nothing: the caller reads as it
// goes along.
func (t *Tree) Open(path string) (*os.File, error) {
	rel, err := t.rel(path)
	if err != nil {
		return nil, err
	}
	f, _, err := t.openFile(rel)
	return f, err
}

func (t *Tree) openFile(rel string) (*os.File, fs.FileInfo, error) {
	f, info, err := t.open(rel, os.O_RDONLY, NodeFile)
	if err == nil {
		t.mu.Lock()
		t.opens[rel]++
		t.mu.Unlock()
	}
	return f, info, err
}

// ReadFile is all of a regular file of at most so many bytes.
func (t *Tree) ReadFile(path string, most int64) ([]byte, error) {
	rel, err := t.rel(path)
	if err != nil {
		return nil, err
	}
	f, info, err := t.openFile(rel)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f, info, path, most)
}

// readAll reads a file that may grow meanwhile.
func readAll(f *os.File, info fs.FileInfo, path string, most int64) ([]byte, error) {
	tooLarge := &SizeError{Path: path, Limit: most, Unit: "bytes"}
	if info.Size() > most {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, tooLarge
	}
	return data, err
}

// ReadJSON reads a record into v. It refuses a record of a newer schema.
func (t *Tree) ReadJSON(path string, v any) error {
	data, err := t.ReadFile(path, maxRecord)
	if err != nil {
		return err
	}
	return Decode(path, data, v)
}

// ReadAt is up to so many bytes of a file from offset on, nothing behind its end.
func (t *Tree) ReadAt(path string, offset int64, most int) ([]byte, error) {
	f, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAt(f, path, offset, most)
}

func readAt(f *os.File, path string, offset int64, most int) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	n := min(int64(most), max(0, info.Size()-offset))
	buf := make([]byte, n)
	got, err := f.ReadAt(buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return buf[:got], nil
}

// Tail is the end of a file, at most so many bytes; cut reports whether there is
// more before it.
func (t *Tree) Tail(path string, most int) (data []byte, cut bool, err error) {
	f, err := t.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	from := max(0, info.Size()-int64(most))
	data, err = readAt(f, path, from, most)
	return data, from > 0, err
}

// Lstat is a path's own entry; a link is not followed.
func (t *Tree) Lstat(path string) (fs.FileInfo, error) {
	rel, err := t.rel(path)
	if err != nil {
		return nil, err
	}
	if err := t.inDirectories(rel); err != nil {
		return nil, err
	}
	info, err := t.root.Lstat(rel)
	return info, t.named(rel, err)
}

// Has reports whether path is a regular file. It looks in a fresh listing of its
// directory: an NFS client may go on answering "no such file" from its cache long
// after the file is there, but opening the directory makes it ask the server.
func (t *Tree) Has(path string) bool {
	rel, err := t.rel(path)
	if err != nil {
		return false
	}
	d, _, err := t.open(filepath.Dir(rel), os.O_RDONLY, NodeDirectory)
	if err != nil {
		return false
	}
	_, _ = d.Readdirnames(1)
	_ = d.Close()
	_, err = t.look(rel, NodeFile)
	return err == nil
}

// Gone reports whether there is certainly nothing at path. An error of the file system says nothing.
func (t *Tree) Gone(path string) bool {
	_, err := t.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) && !t.Has(path)
}

// List is the entries of a directory in the order of their names.
func (t *Tree) List(dir string) ([]fs.DirEntry, error) {
	rel, err := t.rel(dir)
	if err != nil {
		return nil, err
	}
	d, _, err := t.open(rel, os.O_RDONLY, NodeDirectory)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	list, err := d.ReadDir(maxEntries + 1)
	switch {
	case len(list) > maxEntries:
		return nil, &SizeError{Path: dir, Limit: maxEntries, Unit: "entries"}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// RoleResults are the paths of the JUnit files that a role has left, one per task
// that wrote one, in the order of their names. Whatever has such a name is listed:
// opening it says what it is. No directory means no files.
func (t *Tree) RoleResults(r RunDir, role string) ([]string, error) {
	list, err := t.List(r.RoleDir(role))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range list {
		if name := e.Name(); len(name) >= len("results..xml") && strings.HasPrefix(name, "results.") && strings.HasSuffix(name, ".xml") {
			out = append(out, filepath.Join(r.RoleDir(role), name))
		}
	}
	return out, err
}

// FS is dir as a file system for readers (fs.WalkDir, fs.Glob, fs.ReadFile). It
// opens regular files only, and each is an *os.File; it lists links and never
// follows one.
func (t *Tree) FS(dir string) fs.FS { return treeFS{t: t, dir: dir} }

type treeFS struct {
	t   *Tree
	dir string
}

func (f treeFS) path(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

// Open implements fs.FS.
func (f treeFS) Open(name string) (fs.File, error) {
	path, err := f.path("open", name)
	if err != nil {
		return nil, err
	}
	file, err := f.t.Open(path)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// ReadDir implements fs.ReadDirFS.
func (f treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	path, err := f.path("readdir", name)
	if err != nil {
		return nil, err
	}
	return f.t.List(path)
}

// Stat implements fs.StatFS, without following a link.
func (f treeFS) Stat(name string) (fs.FileInfo, error) {
	path, err := f.path("stat", name)
	if err != nil {
		return nil, err
	}
	return f.t.Lstat(path)
}

// Decode reads the record that was found at path into v. It refuses one of a newer
// schema and turns an older one into today's.
func Decode(path string, data []byte, v any) error {
	var head struct {
		Schema int `json:"schema"`
	}
	err := json.Unmarshal(data, &head)
	if err == nil && head.Schema > Schema {
		return fmt.Errorf("%s: schema %d is newer than this ci-disagg understands (%d)", path, head.Schema, Schema)
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err == nil && head.Schema < Schema {
		err = upgrade(data, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ReadJSON reads one record whose run directory is not open as a Tree, with the same
// care for what the file itself is: it follows no link at the end of path.
func ReadJSON(path string, v any) error {
	t, err := TreeOf(path)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }()
	return t.ReadJSON(path, v)
}
