package host

import (
	"errors"
	"path"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// into is what scripts for the login node begin with. Roles write below a run directory there as they do here, and what
// they make of a directory is resolved outside of their containers: into TOP REL goes to a directory below TOP, which
// is trusted, over no link, and says in why what stands in the way. It gives 2 only where there is certainly nothing,
// 20 where something else stands in the place of a directory, and 1 for all that is not known. With a third word it
// makes directories that are not there. The last look holds the place where the shell is now against the one that was
// meant: a link that took a directory's place meanwhile is found, too.
const into = `home=$PWD
unlike() {
  if why=$(LC_ALL=C stat -c %F -- "$1" 2>&1); then
    case $why in "$3" | 'regular empty file') why="$2 cannot be opened"; return 1;; esac
    why="$2 is a $why, not a $3"; return 20
  fi
  case $why in *': No such file or directory') why="$2: No such file or directory"; return 2;; esac
  why="$2: ${why##*: }"; return 1
}
into() {
  why=; enter "$@"; set -- $?
  [ $1 = 0 ] || echo "${why:-it cannot be entered}" >&2
  return $1
}
enter() {
  cd -P -- "$home" || return 1
  cd -P -- "$1" 2>/dev/null || { unlike "$1" "$1" directory; [ $? = 2 ] && return 2; why="$1 cannot be entered: $why"; return 1; }
  to=$2 at=$1 want=$(pwd -P); want=${want%/}${2:+/$2}
  while [ -n "$to" ]; do
    c=${to%%/*}; to=${to#"$c"}; to=${to#/}; at=$at/$c
    said=
    [ -z "$3" ] || [ -e "./$c" ] || [ -h "./$c" ] || said=$(LC_ALL=C mkdir -m 0700 -- "./$c" 2>&1)
    if [ -n "$said" ] && [ ! -e "./$c" ] && [ ! -h "./$c" ]; then why="$at: $said"; return 1; fi
    if [ -h "./$c" ] || [ ! -d "./$c" ]; then unlike "./$c" "$at" directory; return; fi
    cd -P -- "./$c" 2>/dev/null || { why="$at cannot be entered"; return 1; }
  done
  [ "$(pwd -P)" = "${want:-/}" ] || { why="$1/$2 was replaced while it was opened"; return 1; }
}
`

// planted is the exit code of scripts that found something else in the place of a directory.
const planted = 20

// standing is what a script says then, as an error: nobody but a role puts anything there.
func standing(text string) error {
	path, rest, ok := strings.Cut(strings.TrimSpace(text), " is a ")
	is, want, ok2 := strings.Cut(rest, ", not a ")
	if !ok || !ok2 {
		return errors.New(text)
	}
	return &rundir.NodeError{Path: path, Is: rundir.Node("a " + is), Want: rundir.Node("a " + want)}
}

// cut is a directory in the two parts that into takes.
func cut(dir string) (top, rel string) {
	// A name below it shows the run directory that it is in, by its layout.
	top, rel = rundir.Within(path.Join(dir, "x"))
	if top == path.Clean(dir) {
		return path.Dir(top), path.Base(top)
	}
	return top, path.Dir(rel)
}

// cutFile is a file's directory in the two parts that into takes, and its name.
func cutFile(file string) (top, rel, name string) {
	top, rel = rundir.Within(file)
	if rel = path.Dir(rel); rel == "." {
		rel = ""
	}
	return top, rel, path.Base(file)
}
