package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	pollEvery    = 300 * time.Millisecond
	probeTimeout = 5 * time.Second // where no other is set
	// defaultHealth is what a server is asked for where its role does not say.
	defaultHealth = "/health"
)

// Role is what is watched of one role.
type Role struct {
	Name    string
	Address string         // path of the file in which its server publishes host:port, "" = none
	Health  string         // what its server is asked for before it counts as ready, "" = nothing
	Logs    []string       // patterns of the files below output/ that its processes write
	Dials   bool           // its address has to take connections before it counts as ready
	Out     string         // the role's own output folder
	File    string         // pattern below Out of a file that is not empty once it is ready, "" = none
	Find    func() string  // host:port of its server where it publishes none, "" = there is none now; nil = it publishes it
	Given   bool           // its address was published before it was started: it says nothing of the server
	Work    *regexp.Regexp // what it says about its work, with one group: how many requests; nil = nothing
}

// HealthCheck is what a role's server is asked for while it serves.
func HealthCheck(r rundir.RolePlan) scan.HealthCheck {
	return scan.HealthCheck(cmp.Or(r.Ready.HTTPPath, defaultHealth))
}

// Said is what a role's own output has said so far. The zero value has said nothing.
type Said struct {
	Last    time.Time
	Checked time.Time        // when it last told of nothing but health checks
	Lines   []rundir.LogLine // its last lines, oldest first
}

// Watch watches the roles of one run.
type Watch struct {
	Logs   *Logs
	Answer time.Duration // how long a server that is asked has to answer; 0 = 5 s
	roles  []Role
	files  *rundir.Tree

	mu    sync.Mutex
	lacks []string // by role: what it lacked when it was last looked at, "" = nothing
	// waiting is which requests wait for a role, as far as its node's helper can see it.
	waiting map[int]rundir.NodeEvent
}

// New watches the roles of a run; served are the patterns of the files below output/
// that say that requests are being served, hang is what counts as one.
func New(files *rundir.Tree, run rundir.RunDir, roles []Role, served []string, hang time.Duration) *Watch {
	return &Watch{Logs: newLogs(run, roles, served, hang), roles: roles, files: files, lacks: make([]string, len(roles)), waiting: map[int]rundir.NodeEvent{}}
}

// await polls until ok. It reports whether it did before ctx was done. Network file
// systems deliver no notifications.
func await(ctx context.Context, ok func() bool) bool {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
		}
	}
	return true
}

// AwaitReady reports whether a role became ready before ctx was done: it has said so in
// a line of its output, as its pattern has it ("" = nothing is to be said), has
// published its address, and its server is healthy.
func (w *Watch) AwaitReady(ctx context.Context, role int, pattern string, said func() bool) bool {
	return await(ctx, func() bool {
		lacks := fmt.Sprintf("no line of its output has matched ready: {log: %s}", pattern)
		if pattern == "" || said() {
			lacks = w.lack(ctx, w.roles[role])
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lacks[role] = lacks
		return lacks == ""
	})
}

// Lacks is what each role lacked to be ready when it was last looked at, "" = nothing.
func (w *Watch) Lacks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lacks)
}

// AwaitFile reports whether a file was there before ctx was done.
func (w *Watch) AwaitFile(ctx context.Context, path string) bool {
	return await(ctx, func() bool { return w.files.Has(path) })
}

// Wrote is when the file at path was written that was noticed at some time, zero where there is no path: a network file
// system may show it late. Where the file server's clock runs ahead nobody knows, but not earlier than slack before.
func (w *Watch) Wrote(path string, noticed time.Time, slack time.Duration) time.Time {
	if path == "" {
		return time.Time{}
	}
	info, err := w.files.Lstat(path)
	if err != nil || info.ModTime().After(noticed) {
		return noticed.Add(-slack)
	}
	return info.ModTime()
}

// lack is the first thing that a role lacks to be ready.
func (w *Watch) lack(ctx context.Context, r Role) string {
	if r.File != "" && !w.hasFile(r) {
		return "no file " + r.File + " that is not empty"
	}
	if r.Address == "" {
		return ""
	}
	addr, err := w.address(r)
	switch {
	case err != nil:
		return "no address is published"
	case r.Health != "":
		return w.unhealthy(ctx, addr, r.Health)
	case r.Dials && w.dial(ctx, addr) != nil:
		return "nobody listens at " + addr
	}
	return ""
}

// hasFile reports whether the role has left the file that it is known by.
func (w *Watch) hasFile(r Role) bool {
	fsys := w.files.FS(r.Out)
	names, err := doublestar.Glob(fsys, r.File, doublestar.WithFilesOnly(), doublestar.WithNoFollow())
	return err == nil && slices.ContainsFunc(names, func(name string) bool {
		info, err := fs.Stat(fsys, name)
		return err == nil && info.Size() > 0
	})
}

func (w *Watch) answer() time.Duration { return cmp.Or(w.Answer, probeTimeout) }

// dial is why nobody listens at an address, nil = somebody does.
func (w *Watch) dial(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{Timeout: w.answer()}).DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err
}

// Address is the host:port that a role's server has published, "" = none.
func (w *Watch) Address(role int) string {
	addr, err := w.address(w.roles[role])
	if err != nil {
		return ""
	}
	return addr
}

// Health is the status with which a role's server answers what it is asked for. One of
// whom nobody knows that it speaks HTTP is only asked whether it takes connections.
func (w *Watch) Health(ctx context.Context, role int) (int, error) {
	r := w.roles[role]
	addr, err := w.address(r)
	switch {
	case err != nil:
		return 0, err
	case r.Given && r.Health == "" && !r.Dials:
		return 0, os.ErrNotExist
	case r.Given && r.Health == "":
		return http.StatusOK, w.dial(ctx, addr)
	}
	return w.get(ctx, addr, cmp.Or(r.Health, defaultHealth))
}

func (w *Watch) address(r Role) (string, error) {
	if r.Find != nil {
		if addr := r.Find(); addr != "" {
			return addr, nil
		}
		return "", os.ErrNotExist
	}
	if r.Address == "" || !w.files.Has(r.Address) {
		return "", os.ErrNotExist
	}
	b, err := w.files.ReadFile(r.Address, 512)
	if err != nil {
		return "", err
	}
	addr := strings.TrimSpace(string(b))
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "", fmt.Errorf("%s: %w", r.Address, err)
	}
	return addr, nil
}

// unhealthy asks a server for path and wants 200; else it says what came instead.
func (w *Watch) unhealthy(ctx context.Context, addr, path string) string {
	code, err := w.get(ctx, addr, path)
	switch {
	case err != nil && w.dial(ctx, addr) != nil:
		return "nobody listens at " + addr
	case err != nil:
		return "no answer to GET " + path + " from " + addr
	case code != http.StatusOK:
		return fmt.Sprintf("GET %s answers %d", path, code)
	}
	return ""
}

// get asks a server for path and returns the status. No proxy is used: one set
// for downloads would answer in the server's place.
func (w *Watch) get(ctx context.Context, addr, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, w.answer())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/"+strings.TrimPrefix(path, "/"), nil)
	if err != nil {
		return 0, err
	}
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	return res.StatusCode, res.Body.Close()
}

// Silence is what is found when no role gives a sign of life.
type Silence struct {
	Dead   []string // servers that do not answer
	Busy   []string // roles that had work by their own last word
	Unread []string // roles whose answers are not taken
	Since  string   // since when each role is silent, in words
}

// Probe asks every running server that has an address whether it still answers,
// all at once, and names those that do not. A stopped process still accepts
// connections, so only an answer counts; any HTTP answer does, since a server
// may well be alive and unhealthy.
func (w *Watch) Probe(ctx context.Context, said []Said) Silence {
	dead := w.deadServers(ctx)
	var s Silence
	var since []string
	for i, r := range w.roles { // in start order, whatever the order of the answers
		if dead[r.Name] {
			s.Dead = append(s.Dead, r.Name)
		}
		if r.Work != nil && w.hasWork(i, said[i]) {
			s.Busy = append(s.Busy, r.Name)
		}
		if seen, ok := w.waits(i); ok && seen.Unread > 0 {
			s.Unread = append(s.Unread, r.Name)
		}
		if at := w.lastSign(i, said[i].Last); !at.IsZero() {
			since = append(since, r.Name+" "+at.UTC().Format("15:04:05Z")+checked(at, said[i].Checked, w.Logs.lastCheck(i)))
		}
	}
	s.Since = strings.Join(since, ", ")
	return s
}

// checked tells of health checks that were answered after the last sign of life, which they are not: whoever looks into
// the log finds them there.
func checked(since time.Time, checks ...time.Time) string {
	last := slices.MaxFunc(checks, time.Time.Compare)
	if last.Sub(since) < time.Second {
		return ""
	}
	return " (health checks answered until " + last.UTC().Format("15:04:05Z") + ")"
}

// hasWork reports whether requests wait for a role. What its node's helper sees is the better witness: an engine says
// how many requests it works on only after it has done so, the last time with the last one, and one that dies before
// has not said a word.
func (w *Watch) hasWork(i int, said Said) bool {
	if seen, ok := w.waits(i); ok {
		return seen.Open > 0
	}
	n, ok := w.Logs.work(i, w.roles[i].Work)
	return ok && n > 0 || !ok && saysBusy(said.Lines, w.roles[i].Work)
}

// Waits notes which requests wait for a role, as its node's helper sees it.
func (w *Watch) Waits(role int, seen rundir.NodeEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[role] = seen
}

func (w *Watch) waits(role int) (seen rundir.NodeEvent, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen, ok = w.waiting[role]
	return seen, ok
}

func (w *Watch) deadServers(ctx context.Context) map[string]bool {
	type answer struct {
		name string
		dead bool
	}
	answers := make(chan answer, len(w.roles))
	n := 0
	for _, r := range w.roles {
		addr, err := w.address(r)
		if err != nil || r.Given && r.Health == "" && !r.Dials {
			continue // not up yet, or nobody says that it listens: nothing about a hang
		}
		n++
		go func() {
			if r.Given && r.Health == "" {
				answers <- answer{r.Name, w.silent(ctx, addr)}
				return
			}
			_, err := w.get(ctx, addr, cmp.Or(r.Health, defaultHealth))
			answers <- answer{r.Name, err != nil}
		}()
	}
	dead := map[string]bool{}
	for range n {
		if a := <-answers; a.dead {
			dead[a.name] = true
		}
	}
	return dead
}

// silent reports whether a server of whatever protocol says nothing at all, where any word
// of it or the end of the connection is an answer: a stopped process gives neither,
// although the kernel takes connections for it. What is sent begins no known protocol's
// request, and most answer it with an error.
func (w *Watch) silent(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, w.answer())
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return true
	}
	defer func() { _ = c.Close() }()
	if until, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(until)
	}
	if _, err = io.WriteString(c, "ping\r\n\r\n"); err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// saysBusy reports whether a role had work by the last word in its own output.
func saysBusy(lines []rundir.LogLine, work *regexp.Regexp) bool {
	for _, at := range slices.Backward(lines) {
		if m := work.FindStringSubmatch(at.Text); m != nil {
			n, err := strconv.Atoi(m[1])
			return err == nil && n > 0
		}
	}
	return false
}

// lastSign is when a role last printed anything or a file of its own grew. One that
// has not been started gives none.
func (w *Watch) lastSign(role int, printed time.Time) time.Time {
	if grown := w.Logs.lastGrowth(role); !printed.IsZero() && grown.After(printed) {
		return grown
	}
	return printed
}

// Still is how long one role has given no sign of life, 0 = it never gave one.
func (w *Watch) Still(role int, printed, now time.Time) time.Duration {
	at := w.lastSign(role, printed)
	if at.IsZero() {
		return 0
	}
	return now.Sub(at)
}

// Quiet is how long no role has given a sign of life; printed is when each printed
// something last.
func (w *Watch) Quiet(printed []time.Time, now time.Time) time.Duration {
	var last time.Time
	for i, at := range printed {
		if at = w.lastSign(i, at); at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return 0
	}
	return now.Sub(last)
}

// Idle is how long no role has given a sign of life of those that say what they work on,
// 0 = none does.
func (w *Watch) Idle(printed []time.Time, now time.Time) time.Duration {
	var shortest time.Duration
	for i, r := range w.roles {
		if r.Work == nil || printed[i].IsZero() {
			continue
		}
		if still := w.Still(i, printed[i], now); shortest == 0 || still < shortest {
			shortest = still
		}
	}
	return shortest
}
