// Package host runs commands and moves files where the cluster is: here, or on a
// login node through the system's ssh.
//
// In: argument vectors, never shell text. Out: the command's output and exit
// code, bounded in time and size. There are two implementations of Host.
package host

import (
	"context"
	"io"
	"time"
)

// Cmd is one command.
type Cmd struct {
	Argv      []string
	Env       []string      // NAME=value added to the host's environment; never part of an argument
	Unset     []string      // variables removed, a trailing * matches a prefix
	Stdin     io.Reader     // nil = empty
	Timeout   time.Duration // 0 = one minute
	MaxOutput int64         // bytes kept of stdout and of stderr each; 0 = 16 MiB. More is an error
	Session   bool          // own session, so that a signal to our group does not reach it
}

// Result is what a command that ran to its end left.
type Result struct {
	Stdout []byte
	Stderr []byte
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
	// Shared says whether this machine sees the host's files under the same paths.
	Shared() bool
	// Push copies local files below localDir to dir on the host.
	Push(ctx context.Context, localDir, dir string, paths []string) error
	// List lists the regular files below dir, at most limit.
	List(ctx context.Context, dir string, limit int) ([]FileInfo, error)
	// Pull copies regular files below dir on the host to localDir.
	Pull(ctx context.Context, dir, localDir string, paths []string) error
	// Read returns the contents of small files, keyed by path; a file that is not
	// there is not in the map. No file may exceed max bytes.
	Read(ctx context.Context, max int64, paths ...string) (map[string][]byte, error)
	// Close ends what the host holds open.
	Close() error
}
