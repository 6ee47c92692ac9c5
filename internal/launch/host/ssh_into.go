package host

import (
	"path"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// into is what scripts for the login node begin with. Roles write below a run directory there as they do here, and what
// they make of a directory is resolved outside of their containers: into TOP REL goes to a directory below TOP, which is
// trusted, over no link, and says what stands in the way. With a third word it makes directories that are not there. The
// last look holds the place where the shell is now against the one that was meant: a link that took a directory's place
// meanwhile is found, too.
const into = `home=$PWD
into() {
  cd -P -- "$home" && cd -P -- "$1" || return 1
  to=$2 at=$1 want=$(pwd -P); want=${want%/}${2:+/$2}
  while [ -n "$to" ]; do
    c=${to%%/*}; to=${to#"$c"}; to=${to#/}; at=$at/$c
    [ -z "$3" ] || [ -e "./$c" ] || [ -h "./$c" ] || mkdir -m 0700 -- "./$c" 2>/dev/null
    if [ -h "./$c" ] || [ ! -d "./$c" ]; then
      [ -e "./$c" ] || [ -h "./$c" ] || { echo "$at: No such file or directory" >&2; return 1; }
      echo "$at is a $(LC_ALL=C stat -c %F -- "./$c"), not a directory" >&2; return 1
    fi
    cd -P -- "./$c" || return 1
  done
  [ "$(pwd -P)" = "${want:-/}" ] || { echo "$1/$2 was replaced while it was opened" >&2; return 1; }
}
`

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
