package script

import (
	"reflect"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// versionBound is how many seconds a command of workload.versions may take: importing a
// framework from a cold file server takes many.
const versionBound = 60

// versions asks the role's environment for the configured versions, beside its command:
// an answer each, "name, exit code, first line", with tabs between them. Nobody is the
// parent of who asks: a server need not reckon with a child that it has not started.
func (s *shell) versions(p rundir.Plan, at RunPlace, r rundir.RolePlan) {
	if len(p.Versions) == 0 || !says(at.Build, r) {
		return
	}
	s.line("# Which versions these are, asked for beside the command; no answer is no failure.")
	s.line("ci_disagg_version() {")
	s.line("  local said status=0")
	s.line(`  said=$(timeout -k 1 %d bash -c "$2" 2>&1 </dev/null) || status=$?`, versionBound)
	s.line(`  printf '%%s\t%%s\t%%.300s\n' "$1" "$status" "${said%%%%$'\n'*}" >>"$%s/%s"`, envRoleDir, rundir.VersionsName)
	s.line("}")
	s.line(`if [ "${SLURM_PROCID:-0}" = 0 ]; then`)
	s.line(`  rm -f "$%s/%s"`, envRoleDir, rundir.VersionsName)
	s.line("  ( (")
	for _, v := range p.Versions {
		s.line("    ci_disagg_version %s %s", s.word(v.Name), s.word(v.Value))
	}
	s.line("  ) </dev/null >/dev/null 2>&1 & )")
	s.line("fi")
}

// says reports whether the role speaks for its environment: the first one in start order
// with its container.
func says(b rundir.BuildPlan, r rundir.RolePlan) bool {
	i := slices.IndexFunc(b.Roles, func(other rundir.RolePlan) bool {
		return other.Kind != rundir.KindPrecheck && reflect.DeepEqual(other.Container, r.Container)
	})
	return i >= 0 && b.Roles[i].Name == r.Name
}
