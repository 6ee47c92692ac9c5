package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	pollEvery    = 300 * time.Millisecond
	probeTimeout = 5 * time.Second
)

// watchReady sends evReady once all conditions of a role hold. It polls: network
// file systems deliver no notifications.
func (v *supervisor) watchReady(ctx context.Context, i int) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		if v.isReady(ctx, i) {
			v.send(event{kind: evReady, role: i, at: v.o.Now()})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (v *supervisor) isReady(ctx context.Context, i int) bool {
	want := v.specs[i].role.Ready
	if want.LogPattern != "" && !v.logs[i].state().matched {
		return false
	}
	if want.AddressFile == "" {
		return true
	}
	addr, err := v.address(want)
	if err != nil {
		return false
	}
	return want.HTTPPath == "" || healthy(ctx, addr, want.HTTPPath)
}

// address reads the host:port that a server has published.
func (v *supervisor) address(want rundir.Ready) (string, error) {
	if want.AddressFile == "" {
		return "", os.ErrNotExist
	}
	path := v.outputFile(want.AddressFile)
	if !v.files.Has(path) {
		return "", os.ErrNotExist
	}
	b, err := v.files.ReadFile(path, 512)
	if err != nil {
		return "", err
	}
	addr := strings.TrimSpace(string(b))
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return addr, nil
}

// healthy asks a server for path and wants 200.
func healthy(ctx context.Context, addr, path string) bool {
	code, err := get(ctx, addr, path)
	return err == nil && code == http.StatusOK
}

// get asks a server for path and returns the status. No proxy is used: one set
// for downloads would answer in the server's place.
func get(ctx context.Context, addr, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
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

func (v *supervisor) drainSeen() bool { return v.drain != "" && v.files.Has(v.drain) }

// watchDrain sends evDrain once the client's status file is there.
func (v *supervisor) watchDrain(ctx context.Context) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		if v.drainSeen() {
			v.send(event{kind: evDrain, at: v.o.Now()})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// probe asks every running server that has an address whether it still answers,
// all at once, and names those that do not. A stopped process still accepts
// connections, so only an answer counts; any HTTP answer does, since a server
// may well be alive and unhealthy.
func (v *supervisor) probe(ctx context.Context, logs []*roleLog) {
	type answer struct {
		name string
		dead bool
	}
	answers := make(chan answer, len(v.specs))
	n := 0
	for _, spec := range v.specs {
		want := spec.role.Ready
		if want.AddressFile == "" {
			continue
		}
		addr, err := v.address(want)
		if err != nil {
			continue // not up yet: says nothing about a hang
		}
		n++
		go func() {
			path := want.HTTPPath
			if path == "" {
				path = "/health"
			}
			_, err := get(ctx, addr, path)
			answers <- answer{spec.role.Name, err != nil}
		}()
	}
	dead := map[string]bool{}
	for range n {
		if r := <-answers; r.dead {
			dead[r.name] = true
		}
	}
	e := event{kind: evProbed, at: v.o.Now()}
	var silence []string
	for i, spec := range v.specs { // in start order, whatever the order of the answers
		name := spec.role.Name
		if dead[name] {
			e.dead = append(e.dead, name)
		}
		if re := v.work[i]; re != nil {
			if n, ok := v.servers.work(i, re); ok && n > 0 || !ok && saysBusy(logs[i], re) {
				e.busy = append(e.busy, name)
			}
		}
		if at := v.lastSign(logs, i); !at.IsZero() {
			silence = append(silence, name+" "+at.UTC().Format("15:04:05Z"))
		}
	}
	e.silence = strings.Join(silence, ", ")
	e.quiet = v.quiet(logs, e.at)
	v.send(e)
}

// saysBusy reports whether a role had work by the last word in its own output.
func saysBusy(l *roleLog, re *regexp.Regexp) bool {
	if l == nil {
		return false
	}
	lines := l.lastLines()
	for _, at := range slices.Backward(lines) {
		if m := re.FindStringSubmatch(at.Text); m != nil {
			n, err := strconv.Atoi(m[1])
			return err == nil && n > 0
		}
	}
	return false
}

// compileWork compiles what roles say about their work.
func (v *supervisor) compileWork() error {
	v.work = make([]*regexp.Regexp, len(v.specs))
	for i, spec := range v.specs {
		if spec.role.Work == "" {
			continue
		}
		re, err := regexp.Compile(spec.role.Work)
		if err != nil || re.NumSubexp() != 1 {
			return fmt.Errorf("work of %s: %q is not a regular expression with one group", spec.role.Name, spec.role.Work)
		}
		v.work[i] = re
	}
	return nil
}

// lastSign is when a role last printed anything or a file of its own grew.
func (v *supervisor) lastSign(logs []*roleLog, i int) time.Time {
	if logs[i] == nil {
		return time.Time{}
	}
	last := logs[i].lastOutput()
	if grown := v.servers.lastGrowth(i); grown.After(last) {
		return grown
	}
	return last
}

// quiet is how long no role has given a sign of life.
func (v *supervisor) quiet(logs []*roleLog, now time.Time) time.Duration {
	var last time.Time
	for i := range logs {
		if at := v.lastSign(logs, i); at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return 0
	}
	return now.Sub(last)
}
