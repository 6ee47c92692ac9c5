package baseline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Store keeps records. The two implementations are a directory (dir:PATH) and
// PostgreSQL (postgres://…). Every method is safe for many processes at once,
// and every error that means "cannot be reached or read" is an UnavailableError.
type Store interface {
	// Save stores records, which must be Normal. A record whose id is already there
	// is replaced. One that is not valid, or that no reader would take, is left out,
	// and the error names it; an UnavailableError says that the others are not all stored.
	Save(ctx context.Context, records ...Record) (Saved, error)
	// History reads what one case is judged against.
	History(ctx context.Context, q Query) (History, error)
	// Each calls fn for every record that passes the filter, series by series and
	// each from old to new, until fn fails. fn must not call the store. The
	// warnings are what could not be read.
	Each(ctx context.Context, f Filter, fn func(Record) error) ([]string, error)
	// Delete removes the records that pass the filter for good, and says how many.
	Delete(ctx context.Context, f Filter) (int, error)
	// String names the store in messages, without secrets.
	String() string
	Close() error
}

// Saved counts what Save did.
type Saved struct {
	Added    int // new
	Replaced int // the id was there already
}

// Defaults of a Query: what the rules can use.
const (
	DefaultWindow = 90 * 24 * time.Hour
	DefaultRuns   = 80 + 20 // history of bws, plus its window and the late channel
)

// Query asks for the history of one case: its newest counting runs on a branch.
type Query struct {
	Case   string
	Match  map[string]string
	Branch string    // "" = main
	Before time.Time // only runs that began before; zero = no bound
	Except string    // id of the run being judged, which is not its own history
	Since  time.Time // only runs that began then or later; zero = no bound
	Runs   int       // at most so many; 0 = DefaultRuns
	// MergeBase ends the history at the newest run of that commit (7 or more
	// digits). When no run of it is in the window, MergeBaseTime ends it, and
	// when that is zero too, nothing does: History says which.
	MergeBase     string
	MergeBaseTime time.Time
}

func (q Query) runs() int {
	if q.Runs <= 0 {
		return DefaultRuns
	}
	return q.Runs
}

// History is what a case is judged against.
type History struct {
	Runs     []Record // counting runs, in the order of their commits (InOrder); withdrawn ones are left out
	Acts     []Record // accepts of this series, oldest first
	Warnings []string // records that could not be read, and other doubts
}

// sayNew warns that there is no history because this process made the store: the
// first run ever, or one that looked in the wrong place.
func (h *History) sayNew(store Store, made bool) {
	if made && len(h.Runs) == 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("baseline store %s was not there and has been made: there is no history in it", store))
	}
}

// Filter selects records. Zero fields select everything.
type Filter struct {
	IDs    []string
	Kinds  []Kind
	Case   string            // exact
	Match  map[string]string // all given values must be equal
	Branch string            // of runs; "" = every branch
	Mode   string            // nightly or pr
	Counts bool              // only runs that a history may contain
	Since  time.Time         // began then or later
	Before time.Time         // began before
}

// UnavailableError says that a store could not be reached or read: nothing is
// known about the history, and nothing may be green.
type UnavailableError struct {
	Store string // without secrets
	Err   error
}

// Error is "baseline store …: …".
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("baseline store %s: %v", e.Store, e.Err)
}

// Unwrap is the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// IsUnavailable reports whether err means that a store could not be reached or read.
func IsUnavailable(err error) bool { return errors.As(err, new(*UnavailableError)) }

// listTime is how long a list of records may take.
const listTime = 10 * time.Minute

func listing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, listTime, fmt.Errorf("no end of the list within %s", listTime))
}

// Open opens the store that url names: dir:PATH or postgres://…. With create, a
// directory or database schema that is not there yet is made (OpenDir); without,
// that is an UnavailableError. An url of another form is a plain error.
func Open(ctx context.Context, url string, create bool) (Store, error) {
	switch {
	case strings.HasPrefix(url, "dir:"):
		return OpenDir(strings.TrimPrefix(url, "dir:"), create)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return OpenPostgres(ctx, url, create)
	case url == "":
		return nil, fmt.Errorf("no baseline store is named: give dir:PATH or postgres://user@host/database")
	case strings.HasPrefix(url, "/") && !strings.ContainsAny(url, ":@= "): // a path holds no password
		return nil, fmt.Errorf("baseline store %q…: give dir:PATH or postgres://user@host/database", Shorten(url))
	default:
		return nil, errors.New("the baseline store's URL is not of a known form (it is not repeated: it may hold a password): give dir:PATH or postgres://user@host/database")
	}
}
