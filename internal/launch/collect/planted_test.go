package collect

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/plant"
)

// planter makes attempts and puts things in the place of their files and directories, on whichever machine it runs:
// sh -c planter sh BASE, then ATTEMPT, KIND and PLACE of each.
const planter = `set -e
base=$1; shift
mkdir -p "$base/outside/roles/X" && cd "$base/outside"
for f in secret output.log agent.json results.0.xml roles/X/output.log; do echo '` + plant.Canary + `' > $f; done
echo own > own
while [ $# -gt 0 ]; do
  a=$base/run/cases/$1/rep-0/attempt-1
  if [ ! -e "$a" ]; then
    mkdir -p "$a/run-0/roles/X" "$a/run-0/output"
    for f in agent.json slurm.out environment.json run-0/record.json run-0/roles/X/output.log run-0/roles/X/results.0.xml other; do echo good > "$a/$f"; done
  fi
  case $3 in .) p=$a;; *) p=$a/$3;; esac
  rm -rf "$p"
  case $2 in
  'link to a file') ln -s "$base/outside/secret" "$p";;
  'link to a directory') ln -s "$base/outside" "$p";;
  'dangling link') ln -s "$base/outside/none" "$p";;
  FIFO) mkfifo "$p";;
  socket) cd "${p%/*}" && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")' && mv s "$p";;
  directory) mkdir "$p";;
  'sparse file') truncate -s 1T "$p";;
  'hard link') ln "$base/outside/own" "$p";;
  device) mknod "$p" c 1 5;;
  *) echo "what is a $2" >&2; exit 1;;
  esac
  shift 3
done
cd "$base" && find outside | xargs ls -ldi --time-style=full-iso > before`

// collected are the places of an attempt that are read there.
func collected() (dirs, files []string) {
	dirs = []string{".", "run-0", "run-0/roles", "run-0/roles/X", "run-0/output"}
	files = []string{
		"agent.json", "slurm.out", "environment.json", "run-0/record.json", "run-0/roles/X/output.log", "run-0/roles/X/results.0.xml", "run-0/output/x.log",
		"run-0/output/a", "run-0/output/b",
	}
	return dirs, files
}

type planted struct{ attempt, kind, at string }

// plantedAttempts have a link in the place of a directory each, and every kind of thing among the files of one. All
// kinds at all places are for the fault matrix: each costs a second behind a login node.
func plantedAttempts() (out []planted) {
	dirs, files := collected()
	for i, k := range plant.Kinds() {
		for j, at := range dirs {
			if all := os.Getenv("CI_DISAGG_FAULTS") == "all"; all || k.Name == "link to a directory" || k.Name == "FIFO" && at == "." {
				out = append(out, planted{fmt.Sprintf("dir-%d-%d", i, j), k.Name, at})
			}
		}
		for j, at := range files {
			if (i+j)%len(files) == 0 {
				out = append(out, planted{"files", k.Name, at})
			}
			if os.Getenv("CI_DISAGG_FAULTS") == "all" {
				out = append(out, planted{"files-" + strconv.Itoa(i), k.Name, at})
			}
		}
	}
	return out
}

// What a role has made of its files is neither followed nor waited for where they are brought home, nor where a part of
// them is asked for.
func TestPlantedNodesAreNotCollected(t *testing.T) {
	t.Parallel()
	here(t, checkPlantedNodesAreNotCollected)
}

func TestSSHPlantedNodesAreNotCollected(t *testing.T) {
	t.Parallel()
	overSSH(t, checkPlantedNodesAreNotCollected)
}

func checkPlantedNodesAreNotCollected(t *testing.T, h host.Host, dir string) {
	t.Helper()
	ctx := context.Background()
	argv := []string{"sh", "-c", planter, "sh", dir}
	from, seen := map[string]int64{}, map[string]bool{}
	var read []string
	all := plantedAttempts()
	for _, a := range all {
		argv = append(argv, a.attempt, a.kind, a.at)
		there := plantedIn(dir, a.attempt)
		from[there.AgentFile()], from[there.SlurmOut()], from[there.Run(0).RoleLog("X")] = 0, 0, 0
		read = append(read, there.AgentFile(), there.Run(0).RecordFile(), there.Run(0).RoleLog("X"))
	}
	done(t, h, argv...)
	for _, a := range all {
		if seen[a.attempt] {
			continue
		}
		seen[a.attempt] = true
		what, there, here := a.kind+" at "+a.at, plantedIn(dir, a.attempt), plantedIn(t.TempDir(), a.attempt)
		_, err := Gather(ctx, h, string(there), string(here), Rules{MaxFile: 4000})
		if a.at == "." && a.kind != "directory" {
			require.ErrorContains(t, err, string(there), what)
		}
		if strings.HasPrefix(a.kind, "link to a") && a.at == "." {
			require.ErrorContains(t, err, "is a symbolic link", what)
		}
		switch a.at { // as a paired session asks for one run, and a crowded attempt for the roles of one
		case "run-0":
			_, err = Gather(ctx, h, string(there.Run(0)), string(here.Run(0)), Rules{})
			require.Equal(t, a.kind == "directory", err == nil, what)
		case "run-0/roles":
			_, err = Gather(ctx, h, string(there.Run(0))+"/roles", string(here)+"/roles", Rules{})
			require.Equal(t, a.kind == "directory", err == nil, what)
		}
		require.NotContains(t, textBelow(t, filepath.Dir(string(here))), plant.Canary, what)
	}
	parts, err := h.ReadAt(ctx, 4000, from)
	require.ErrorIs(t, err, host.ErrUnread)
	whole, _ := h.Read(ctx, 4000, read...)
	require.NotContains(t, fmt.Sprintf("%s %s", parts, whole), plant.Canary)
	// A thing at one place hides none of the others.
	require.Equal(t, "good\n", string(whole[plantedIn(dir, "dir-1-4").AgentFile()]))
	done(t, h, "sh", "-c", `cd "$1" && find outside | xargs ls -ldi --time-style=full-iso | diff before - >&2`, "sh", dir)
}

func plantedIn(dir, attempt string) rundir.AttemptDir {
	return rundir.Dir(filepath.Join(dir, "run")).CaseDir(attempt).Attempt(0, 1)
}

func done(t *testing.T, h host.Host, argv ...string) {
	t.Helper()
	res, err := h.Run(context.Background(), host.Cmd{Argv: argv})
	require.NoError(t, err)
	require.Zero(t, res.Exit, string(res.Stderr))
}

// textBelow is what all files below dir say.
func textBelow(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		require.True(t, e.Type().IsRegular(), p)
		data, err := os.ReadFile(p)
		b.Write(data)
		return err
	})
	require.NoError(t, err)
	return b.String()
}

// swapped is a host on which a directory became a link between the list and the copy: the copy went through it.
type swapped struct {
	host.Host
	there string
}

func (h swapped) Checksum(ctx context.Context, paths ...string) (map[string]string, error) {
	sums, err := h.Host.Checksum(ctx, paths...)
	delete(sums, h.there)
	return sums, err
}

// What cannot be held against its original is not kept.
func TestACopyWithoutAnOriginalIsNotKept(t *testing.T) {
	t.Parallel()
	h, dir := host.NewHere(os.Environ()), filepath.Join(t.TempDir(), "far")
	tree(t, h, dir, map[string]string{"run-0/output/x.log": plant.Canary, "slurm.out": "good"})
	here := t.TempDir()
	b, err := Gather(context.Background(), swapped{h, filepath.Join(dir, "run-0/output/x.log")}, dir, here, Rules{})
	require.ErrorIs(t, err, ErrIncomplete)
	require.Equal(t, "could not be read there", files(b)["run-0/output/x.log"].Why)
	require.NoFileExists(t, filepath.Join(here, "run-0/output/x.log"))
	require.FileExists(t, filepath.Join(here, "slurm.out"))
}
