package script

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Variables that role.sh exports for roles of configured pipelines.
const (
	envOut  = "CI_DISAGG_OUT"  // the role's own output folder
	envHost = "CI_DISAGG_HOST" // by which others reach the role's first node
	envPort = "CI_DISAGG_PORT" // a free port there
)

// defaultMeet is how long a role waits for the address of another one when the plan
// has no budget for that.
const defaultMeet = 10 * time.Minute

// ownOutput makes the role's own folder.
func (s *shell) ownOutput(p rundir.Plan, at RunPlace, r rundir.RolePlan) {
	if p.Case.Pipeline == "" {
		return
	}
	s.export(envOut, at.Run.RoleOut(r.Name))
	s.line(`mkdir -p "$%s"`, envOut)
}

// meet gives the role a port, publishes it, and reads the addresses of others. What
// stands in their files is checked and never evaluated.
func (s *shell) meet(p rundir.Plan, at RunPlace, r rundir.RolePlan) {
	if !r.Port && len(r.Refs) == 0 {
		return
	}
	bound := cmp.Or(p.Budgets.Ready.D(), defaultMeet)
	s.line("ci_disagg_address() { # ROLE: waits for its address and takes it apart")
	s.line("  local file=%s/$1 until=$((SECONDS + %d)) line=", s.word(at.Run.AddressDir()), int(bound.Seconds()))
	s.line(`  until [ -s "$file" ]; do`)
	s.line(`    if [ "$SECONDS" -ge "$until" ]; then echo "ci-disagg: $1 has not published its address within %v" >&2; exit 78; fi`, bound)
	s.line("    sleep 0.1")
	s.line("  done")
	s.line(`  IFS= read -r line <"$file" || true`)
	s.line(`  if ! [[ $line =~ ^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})$ ]]; then`)
	s.line(`    echo "ci-disagg: $file does not hold host:port" >&2; exit 78`)
	s.line("  fi")
	s.line("  ci_disagg_host=${BASH_REMATCH[1]} ci_disagg_port=${BASH_REMATCH[2]}")
	s.line("}")
	if r.Port {
		s.freePort(r.FixedPort)
		s.ownHost(p)
		s.publish(at, r)
	}
	s.refs(r)
}

// freePort finds a port that nobody else takes before the role does: it lies outside of
// the range from which the kernel serves those who name none, no other role of the run
// has it (of two that make a folder one succeeds), and nothing uses it now. Another
// job of the node can still be given the same one by name; the server then says that
// its address is in use, which is infrastructure and tried again.
func (s *shell) freePort(fixed int) {
	if fixed != 0 {
		s.line("ci_disagg_free() { ci_disagg_port=%d; }", fixed)
		return
	}
	s.b.WriteString(`ci_disagg_free() { # DIR: a free port of this machine
  local low=32768 high=60999 from=10000 to=65535 port try hex
  read -r low high 2>/dev/null </proc/sys/net/ipv4/ip_local_port_range || true
  if [ "$low" -ge 12000 ]; then to=$((low - 1)); elif [ "$high" -le 63535 ]; then from=$((high + 1)); fi
  mkdir -p "$1"
  for ((try = 0; try < 500; try++)); do
    port=$((from + (RANDOM * 32768 + RANDOM) % (to - from + 1)))
    printf -v hex '%04X' "$port"
    if grep -qs "^ *[0-9]*: [0-9A-F]*:$hex " /proc/net/tcp /proc/net/tcp6; then continue; fi
    if mkdir "$1/${HOSTNAME:-node}.$port" 2>/dev/null; then ci_disagg_port=$port; return; fi
  done
  echo "ci-disagg: no free port between $from and $to" >&2; exit 78
}
`)
}

// ownHost finds a name or address of the node by which the other roles reach it. Where
// all roles are on one node that is the loopback, which nobody else reaches. Between
// nodes it is the node's name where that leads to an address that is not the
// loopback's, else its first address. What setup or the environment says goes before.
func (s *shell) ownHost(p rundir.Plan) {
	s.line("ci_disagg_node() { # the host by which others reach this machine")
	if p.LocalAgent || p.Nodes <= 1 {
		s.line("  ci_disagg_host=127.0.0.1")
	} else {
		s.b.WriteString(`  local name addr
  for name in "${SLURMD_NODENAME:-}" "${HOSTNAME:-}"; do
    if [ -z "$name" ]; then continue; fi
    addr=$(getent ahosts "$name" 2>/dev/null)
    case ${addr%%[[:space:]]*} in
    "" | 127.* | ::1) ;;
    *) ci_disagg_host=$name; return ;;
    esac
  done
  for addr in $(hostname -I 2>/dev/null); do
    case $addr in
    *:* | 127.*) ;;
    *) ci_disagg_host=$addr; return ;;
    esac
  done
`)
		s.line(`  echo "ci-disagg: this node has no address by which others reach it: set %s in workload.setup" >&2; exit 78`, envHost)
	}
	s.line("}")
}

// publish finds the role's address and writes it for the others, by rename. The first
// task does so; the others of the role read it.
func (s *shell) publish(at RunPlace, r rundir.RolePlan) {
	dir, file := s.word(at.Run.AddressDir()), s.word(at.Run.Address(r.Name))
	s.line(`if [ "${SLURM_PROCID:-0}" = 0 ]; then`)
	s.line("  mkdir -p %s", dir)
	s.line("  ci_disagg_free %s/.taken", dir)
	s.line("  ci_disagg_host=${%s:-}", envHost)
	s.line(`  if [ -z "$ci_disagg_host" ]; then ci_disagg_node; fi`)
	s.line(`  if ! printf '%%s:%%s\n' "$ci_disagg_host" "$ci_disagg_port" >%s.$$ || ! mv -f %s.$$ %s; then`, file, file, file)
	s.line(`    echo "ci-disagg: the address cannot be published" >&2; exit 78`)
	s.line("  fi")
	s.line("else")
	s.line("  ci_disagg_address %s", s.word(r.Name))
	s.line("fi")
	s.line("export %s=$ci_disagg_host %s=$ci_disagg_port", envHost, envPort)
}

// refs sets the variables that are made of the addresses of others.
func (s *shell) refs(r rundir.RolePlan) {
	if len(r.Refs) == 0 {
		return
	}
	s.b.WriteString(`ci_disagg_ref() { # VARIABLE PART SEPARATOR ROLE...
  local var=$1 part=$2 sep=$3 text="" role one
  shift 3
  for role; do
    ci_disagg_address "$role"
    case $part in
    host) one=$ci_disagg_host ;;
    port) one=$ci_disagg_port ;;
    url) one=http://$ci_disagg_host:$ci_disagg_port ;;
    *) one=$ci_disagg_host:$ci_disagg_port ;;
    esac
    text+=${text:+$sep}$one
  done
  printf -v "$var" %s "$text"
  export "${var?}"
}
`)
	for _, ref := range r.Refs {
		words := []string{ref.Var, ref.Part, s.word(cmp.Or(ref.Sep, ","))}
		for _, role := range ref.Roles {
			words = append(words, s.word(role))
		}
		s.line("ci_disagg_ref %s", strings.Join(words, " "))
	}
}

// endsWithItsChildren lets a role that is told to end wait for its command, which is
// told, too: bash itself would leave at once, and take the command's last words with it.
func (s *shell) endsWithItsChildren(p rundir.Plan) {
	if p.Case.Pipeline != "" {
		s.line("trap 'wait; exit 143' TERM")
	}
}

// command is the role's own. One that runs several times in a run does so in a folder of its own each time.
func (s *shell) command(p rundir.Plan, r rundir.RolePlan) {
	n := p.Repeats(r)
	if n == 1 {
		s.user(r.Command)
		return
	}
	s.line("ci_disagg_own=$%s", envOut)
	s.line("for ci_disagg_n in $(seq %d); do", n)
	s.line(`  export %s="$ci_disagg_own/repeat-$ci_disagg_n"`, envOut)
	s.line(`  mkdir -p "$%s"`, envOut)
	s.line("  (")
	s.user(r.Command)
	s.line("  )")
	s.line("  ci_disagg_status=$?")
	s.line(`  if [ "$ci_disagg_status" != 0 ]; then exit "$ci_disagg_status"; fi`)
	s.line("done")
}

// checkOrder holds what roles say of each other against the roles that there are.
func checkOrder(roles []rundir.RolePlan) error {
	var errs []error
	for _, r := range roles {
		if strings.EqualFold(r.Name, rundir.AddressDir) {
			errs = append(errs, fmt.Errorf("role %s: the folder output/%s is that of the addresses: give the role another name", r.Name, rundir.AddressDir))
		}
		for _, need := range r.Needs {
			if !slices.ContainsFunc(roles, func(other rundir.RolePlan) bool { return other.Group == need || other.Name == need }) {
				errs = append(errs, fmt.Errorf("role %s needs %s, which is no role", r.Name, need))
			}
		}
		for _, ref := range r.Refs {
			errs = append(errs, checkRef(r.Name, ref, roles))
		}
	}
	if name := inCircle(roles); name != "" {
		errs = append(errs, fmt.Errorf("role %s is never started: what it needs needs it", name))
	}
	return errors.Join(errs...)
}

func checkRef(role string, ref rundir.AddressRef, roles []rundir.RolePlan) error {
	if !validName(ref.Var) || !slices.Contains([]string{rundir.PartHost, rundir.PartPort, rundir.PartAddress, rundir.PartURL}, ref.Part) {
		return fmt.Errorf("role %s: %q of an address into %q", role, ref.Part, ref.Var)
	}
	for _, name := range ref.Roles {
		if !slices.ContainsFunc(roles, func(other rundir.RolePlan) bool { return other.Name == name && other.Port }) {
			return fmt.Errorf("role %s asks for the address of %s, which is no role that has a port", role, name)
		}
	}
	return nil
}

// inCircle is a role that waits for itself, "" if none does.
func inCircle(roles []rundir.RolePlan) string {
	started := map[string]bool{}
	for range roles {
		for _, r := range roles {
			held := slices.ContainsFunc(roles, func(other rundir.RolePlan) bool {
				return other.Name != r.Name && !started[other.Name] && (slices.Contains(r.Needs, other.Group) || slices.Contains(r.Needs, other.Name))
			})
			if !held {
				started[r.Name] = true
			}
		}
	}
	for _, r := range roles {
		if !started[r.Name] {
			return r.Name
		}
	}
	return ""
}
