package jobs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// OwnerTag marks all jobs of a run: short, and the same for every driver of it.
func OwnerTag(r rundir.Run) string {
	sum := sha256.Sum256([]byte(r.ID + "\x00" + r.Created.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:6])
}

// NamePrefix is what the names of all our jobs begin with.
const NamePrefix = "cid-"

// Name is a name that no other job has: by it a job is found whose id never
// arrived, and by the owner tag in it the jobs of a run are told from others.
func Name(r rundir.Run, slug string, rep, number int) string {
	const most = 60
	if len(slug) > most {
		slug = slug[:most]
	}
	var b [4]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%s%s-%s-r%da%d-%s", NamePrefix, OwnerTag(r), slug, rep, number, hex.EncodeToString(b[:]))
}

const tagLength = 12

// TagOf reads the owner tag out of the name of one of our jobs.
func TagOf(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, NamePrefix)
	if !ok || len(rest) <= tagLength || rest[tagLength] != '-' {
		return "", false
	}
	for _, c := range rest[:tagLength] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return rest[:tagLength], true
}

// Is reports whether a row of the queue is the job, as far as its id does not tell: by
// its unique name, or by its script, since a site's plugin may rename jobs.
func Is(j rundir.Job, r slurm.QueueRow) bool {
	return r.Name == j.Name || j.Dir != "" && r.Command == scriptOf(j)
}

// Ours reports whether a row of the queue is a job of ci-disagg. tag is the owner's, ""
// where the job was renamed; dir is the run directory as the job sees it, "" where its
// script is not one of ours.
func Ours(r slurm.QueueRow) (tag string, dir rundir.Dir, ok bool) {
	tag, named := TagOf(r.Name)
	dir = RunDirOf(r.Command)
	return tag, dir, named || dir != ""
}

// RunDirOf reads the run directory out of the path of one of our batch scripts:
// RUN/cases/<slug>/rep-<q>/attempt-<n>/job.sh; "" if it is something else.
func RunDirOf(script string) rundir.Dir {
	if !path.IsAbs(script) || path.Base(script) != "job.sh" {
		return ""
	}
	attempt := path.Dir(script)
	rep := path.Dir(attempt)
	cases := path.Dir(path.Dir(rep))
	if !strings.HasPrefix(path.Base(attempt), "attempt-") || !strings.HasPrefix(path.Base(rep), "rep-") || path.Base(cases) != "cases" {
		return ""
	}
	return rundir.Dir(path.Dir(cases))
}

// FarRun is the run directory behind the login node. Two runs may have the same id
// on different machines; their tags differ.
func FarRun(agentDir string, run rundir.Run) rundir.Dir {
	return rundir.Dir(agentDir + "/runs/" + rundir.Slug(run.ID) + "." + OwnerTag(run))
}

// SharedBin is where the binaries of the runs in a directory are, one per version.
func SharedBin(runsDir string) string { return filepath.Join(runsDir, ".bin") }

// FarBin is where binaries are behind the login node.
func FarBin(agentDir string) string { return agentDir + "/bin" }
