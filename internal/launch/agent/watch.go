package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
func (a *agent) watchReady(ctx context.Context, i int) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		if a.isReady(ctx, i) {
			a.send(event{kind: evReady, role: i, at: a.o.Now()})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (a *agent) isReady(ctx context.Context, i int) bool {
	want := a.specs[i].role.Ready
	if want.LogPattern != "" && !a.logs[i].state().matched {
		return false
	}
	if want.AddressFile == "" {
		return true
	}
	addr, err := a.address(want)
	if err != nil {
		return false
	}
	return want.HTTPPath == "" || healthy(ctx, addr, want.HTTPPath)
}

// address reads the host:port that a server has published.
func (a *agent) address(want rundir.Ready) (string, error) {
	if want.AddressFile == "" {
		return "", os.ErrNotExist
	}
	path := filepath.Join(a.dir.Output(), a.expand(want.AddressFile))
	if !exists(path) {
		return "", os.ErrNotExist
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 512))
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

// exists looks for path in a fresh listing of its directory: an NFS client may
// go on answering "no such file" from its cache long after the file is there,
// but opening the directory makes it ask the server.
func exists(path string) bool {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return false
	}
	_, _ = d.Readdirnames(1)
	_ = d.Close()
	_, err = os.Stat(path)
	return err == nil
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

func (a *agent) drainSeen() bool { return a.drain != "" && exists(a.drain) }

// watchDrain sends evDrain once the client's status file is there.
func (a *agent) watchDrain(ctx context.Context) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		if a.drainSeen() {
			a.send(event{kind: evDrain, at: a.o.Now()})
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
func (a *agent) probe(ctx context.Context, logs []*roleLog) {
	type answer struct {
		name string
		dead bool
	}
	answers := make(chan answer, len(a.specs))
	n := 0
	for _, spec := range a.specs {
		want := spec.role.Ready
		if want.AddressFile == "" {
			continue
		}
		addr, err := a.address(want)
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
	e := event{kind: evProbed, at: a.o.Now()}
	for _, spec := range a.specs { // in start order, whatever the order of the answers
		if dead[spec.role.Name] {
			e.dead = append(e.dead, spec.role.Name)
		}
	}
	e.quiet = quiet(logs, e.at)
	a.send(e)
}

// quiet is how long no role has printed anything.
func quiet(logs []*roleLog, now time.Time) time.Duration {
	var last time.Time
	for _, l := range logs {
		if l == nil {
			continue
		}
		if at := l.lastOutput(); at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return 0
	}
	return now.Sub(last)
}
