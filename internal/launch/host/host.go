// Package host runs commands and moves files where the cluster is: here, or on a
// login node through the system's ssh.
//
// In: argument vectors, never shell text. Out: the command's output and exit
// code, bounded in time and size. There are two implementations of Host.
package host

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrNotStarted says that a command certainly did not run: the program is not
// there, there is no room for one more process, or the login node could not be
// reached at all.
var ErrNotStarted = errors.New("not started")

// ErrUnreachable says that the login node did not answer, or that the connection
// ended before the command did: what the command has done is not known.
var ErrUnreachable = errors.New("login node unreachable")

// ErrUnread says that some of the files could not be read; all others were.
var ErrUnread = errors.New("not every file could be read")

// UnreadError is ErrUnread, with why each of those files could not be read, by path.
type UnreadError map[string]error

func (e UnreadError) Error() string {
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(e)) {
		lines = append(lines, ErrUnread.Error()+": "+e[p].Error())
	}
	return strings.Join(lines, "\n")
}

func (e UnreadError) Unwrap() []error {
	return slices.AppendSeq([]error{ErrUnread}, maps.Values(e))
}

// orNil is the error of a look at several files.
func (e UnreadError) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// ErrPartial says that a list of files is not complete.
var ErrPartial = errors.New("not every file is listed")

const (
	defaultTimeout   = time.Minute
	defaultMaxOutput = 16 << 20
)

// Cmd is one command.
type Cmd struct {
	Argv      []string
	Dir       string        // working directory; "" = the host's default
	Env       []string      // NAME=value added to the host's environment; never part of an argument
	Unset     []string      // variables removed before; a trailing * matches a prefix
	Keep      []string      // variables that Unset spares
	Stdin     io.Reader     // nil = empty
	Timeout   time.Duration // 0 = one minute
	MaxOutput int           // bytes of stdout kept; 0 = 16 MiB. More is an error
	Session   bool          // own session, so that a signal to our group does not reach it
	Fresh     bool          // over ssh: not over the shared connection, which may hang
}

// Result is what a command that ran to its end left.
type Result struct {
	Stdout []byte
	Stderr []byte // its tail
	Exit   int
}

// FileInfo is one regular file below a directory of the host.
type FileInfo struct {
	Path  string // relative to the directory asked for
	Size  int64
	MTime time.Time
}

// Host is where the cluster's commands run and its files are.
type Host interface {
	// Name is "here" or the ssh destination.
	Name() string
	// Run runs one command to its end. The error is not nil when the command did
	// not end by itself or could not be started or reached (ErrUnreachable,
	// context.DeadlineExceeded, …); a non-zero exit is no error.
	Run(ctx context.Context, c Cmd) (Result, error)
	// Shared reports whether this machine sees the host's files under the same paths.
	Shared() bool
	// Push copies local files below localDir to dir on the host.
	Push(ctx context.Context, localDir, dir string, paths []string) error
	// List lists the regular files below dir, those directly in it first. With more
	// than limit, or with directories that cannot be read, it returns what it has
	// and ErrPartial.
	List(ctx context.Context, dir string, limit int) ([]FileInfo, error)
	// Pull copies regular files below dir on the host to localDir. One that cannot
	// be read, or is not there, keeps none of the others back: ErrUnread.
	Pull(ctx context.Context, dir, localDir string, paths []string) error
	// Read returns the contents of small files, keyed by path; a file that is not
	// there is not in the map. No file may exceed most bytes. An UnreadError is
	// only about the files that it names: any other that is not in the map is not there.
	Read(ctx context.Context, most int64, paths ...string) (map[string][]byte, error)
	// ReadAt returns up to most bytes of each file from the given offset on; a
	// file that is not there, or is shorter, gives nothing. An UnreadError is as Read's.
	ReadAt(ctx context.Context, most int, from map[string]int64) (map[string][]byte, error)
	// Checksum is the SHA-256 of files in hexadecimal, keyed by path; a file that
	// is not there, or cannot be read, is not in the map.
	Checksum(ctx context.Context, paths ...string) (map[string]string, error)
	// Close ends what the host holds open.
	Close() error
}
