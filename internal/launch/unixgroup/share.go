// Package unixgroup gives run directories to a group of people: what `next:` tells somebody to look at is no use to
// whoever may not read it.
//
// In: the config's group. Out: the group, and run directories that it may read.
package unixgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Group is whom run directories are shared with; the zero value is nobody.
type Group struct {
	Name string
	ID   int
}

// Find finds a group by its name or number. This process must be a member of it, or nothing can be given to it.
func Find(ctx context.Context, name string, env []string) (Group, error) {
	if name == "" {
		return Group{}, nil
	}
	id, err := number(ctx, name, env)
	if err != nil {
		return Group{}, fmt.Errorf("group: %w", err)
	}
	mine, err := os.Getgroups()
	if err == nil && os.Geteuid() != 0 && os.Getegid() != id && !slices.Contains(mine, id) {
		err = fmt.Errorf("group: this user is no member of %s, and cannot give it a run directory: add it to the group, or leave group: away", name)
	}
	return Group{name, id}, err
}

func number(ctx context.Context, name string, env []string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	// A program without cgo knows /etc/group alone; a site's groups are elsewhere.
	c := proc.Command{Argv: []string{"getent", "group", "--", name}, Env: env, Timeout: 10 * time.Second}
	if got, err := proc.Run(ctx, c); err == nil {
		if fields := strings.Split(strings.TrimSpace(string(got.Stdout)), ":"); len(fields) > 2 {
			return strconv.Atoi(fields[2])
		}
	}
	if id, err := strconv.Atoi(name); err == nil && id >= 0 {
		return id, nil
	}
	return 0, fmt.Errorf("this machine knows no group %q", name)
}

// Make makes a run directory, which the group may read. Where that cannot be, the directory is there all the same, and
// the second value says why.
func (g Group) Make(dir string) (doubt, err error) {
	missing := dir // the topmost that is not there
	for parent := filepath.Dir(dir); parent != missing; parent = filepath.Dir(parent) {
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = parent
	}
	if err := os.MkdirAll(dir, rundir.DirMode); err != nil || g == (Group{}) {
		return nil, err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if err := rundir.Share(at, g.ID); err != nil {
			return fmt.Errorf("group %s cannot be given the run directory: %w", g.Name, err), nil
		}
		if at == missing {
			return g.closed(filepath.Dir(at)), nil
		}
	}
}

// Reaches is why the group would not get to a run directory that is made in dir, nil = it does, as far as modes tell.
func (g Group) Reaches(dir string) error {
	if g == (Group{}) {
		return nil
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) { // what is missing is made for the group
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return g.closed(dir)
}

// closed names the directory above that the group cannot pass, as far as modes tell.
func (g Group) closed(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o011 == 0 {
			return fmt.Errorf("group %s may read the run directory, and cannot reach it: %s is closed (chmod g+x or o+x)", g.Name, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
