package script

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// meeting is a plan of the local backend with the roles given.
func meeting(t *testing.T, roles ...rundir.RolePlan) (rundir.Plan, RunPlace) {
	t.Helper()
	for i := range roles {
		roles[i].Slice = []rundir.NodeShare{{Tasks: 1}}
	}
	p := rundir.Plan{
		Case: rundir.Case{ID: "c", Pipeline: "p"}, LocalAgent: true, Runs: rundir.OneRun(),
		Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: roles}},
	}
	dir := rundir.AttemptDir(t.TempDir())
	at, err := Place(p, dir, p.Runs[0])
	require.NoError(t, err)
	for _, r := range roles {
		text, err := roleScript(p, at, r)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(at.Run.RoleDir(r.Name), 0o700))
		require.NoError(t, rundir.WriteFile(at.Run.RoleScript(r.Name), text, rundir.ExecMode))
	}
	return p, at
}

func runRole(t *testing.T, at RunPlace, role string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", at.Run.RoleScript(role))
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// checkScripts lets shellcheck look at what roles have in a job of several nodes.
func checkScripts(t *testing.T, roles ...rundir.RolePlan) {
	t.Helper()
	if testing.Short() {
		return
	}
	need.Programs(t, "shellcheck", "shellcheck")
	p, at := meeting(t)
	p.LocalAgent, p.Nodes = false, 2
	argv := []string{"--severity=style"}
	for _, r := range roles {
		text, err := roleScript(p, at, r)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), r.Name+".sh")
		require.NoError(t, rundir.WriteFile(file, text, rundir.ExecMode))
		argv = append(argv, file)
	}
	out, err := exec.CommandContext(t.Context(), "shellcheck", argv...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// A client that runs several times does so in a folder of its own each time, also where its command is exec'd; the
// first failure is the role's end.
func TestRepeatedClient(t *testing.T) {
	t.Parallel()
	client := func(command string) rundir.RolePlan {
		return rundir.RolePlan{Name: "C", Kind: rundir.KindClient, Command: command}
	}
	p, at := meeting(t, client(""))
	p.Pairs = &rundir.PairPlan{Repeat: 3}
	for _, tt := range []struct {
		name, command string
		exit, times   int
	}{
		{"exec", `exec touch "$CI_DISAGG_OUT/x"`, 0, 3},
		{"the second fails", "set -eo pipefail\n" + `touch "$CI_DISAGG_OUT/x"; case $CI_DISAGG_OUT in *2) (exit 7);; esac; true`, 7, 2},
	} {
		require.NoError(t, os.RemoveAll(at.Run.RoleOut("C")))
		text, err := roleScript(p, at, client(tt.command))
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "role.sh")
		require.NoError(t, rundir.WriteFile(file, text, rundir.ExecMode))
		cmd := exec.CommandContext(t.Context(), "bash", file)
		out, _ := cmd.CombinedOutput()
		require.Equal(t, tt.exit, cmd.ProcessState.ExitCode(), "%s: %s", tt.name, out)
		for n := 1; n <= 3; n++ {
			_, err := os.Stat(filepath.Join(at.Run.RoleOut("C"), rundir.RepeatDir(n), "x"))
			require.Equal(t, n <= tt.times, err == nil, "%s: %d", tt.name, n)
		}
	}
}

// Roles that are started at once each get a port of their own that is free, outside of
// the range from which the kernel serves others, and read each other's addresses.
func TestRolesMeet(t *testing.T) {
	t.Parallel()
	const servers = 12
	var roles []rundir.RolePlan
	ref := func(variable, part, sep string, of ...string) rundir.AddressRef {
		return rundir.AddressRef{Var: variable, Part: part, Sep: sep, Roles: of}
	}
	for i := range servers {
		roles = append(roles, rundir.RolePlan{
			Name: fmt.Sprintf("S_%d", i), Command: `echo "at $CI_DISAGG_HOST:$CI_DISAGG_PORT, sees $PEER"; echo x >"$CI_DISAGG_OUT/x"`,
			Outfit: rundir.Outfit{Port: true, Refs: []rundir.AddressRef{ref("PEER", rundir.PartAddress, "", fmt.Sprintf("S_%d", (i+1)%servers))}},
		})
	}
	roles = append(roles, rundir.RolePlan{Name: "C", Command: `echo "$A|$B|$C|$D"`, Outfit: rundir.Outfit{Refs: []rundir.AddressRef{
		ref("A", rundir.PartURL, " ", "S_0", "S_1"), ref("B", rundir.PartPort, "", "S_0", "S_1"), ref("C", rundir.PartHost, "", "S_2"), ref("D", rundir.PartAddress, "$(id)", "S_3", "S_4"),
	}}})
	_, at := meeting(t, roles...)
	checkScripts(t, roles[0], roles[servers])
	said := make([]string, len(roles))
	var all sync.WaitGroup
	for i, r := range roles {
		all.Go(func() { said[i], _ = runRole(t, at, r.Name) })
	}
	all.Wait()
	ports, low, high := map[int]bool{}, 32768, 60999
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, err = fmt.Sscan(string(b), &low, &high)
		require.NoError(t, err)
	}
	address := make([]string, servers)
	for i := range servers {
		text, err := os.ReadFile(at.Run.Address(roles[i].Name))
		require.NoError(t, err, said[i])
		address[i] = strings.TrimSpace(string(text))
		host, port, err := net.SplitHostPort(address[i])
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1", host)
		n, err := strconv.Atoi(port)
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, 10000)
		if low >= 12000 || high <= 63535 { // else the kernel leaves too few
			require.False(t, low <= n && n <= high, "%d is one that the kernel hands out", n)
		}
		ports[n] = true
		require.FileExists(t, filepath.Join(at.Run.RoleOut(roles[i].Name), "x"))
	}
	require.Len(t, ports, servers)
	for i := range servers {
		require.Equal(t, "at "+address[i]+", sees "+address[(i+1)%servers]+"\n", said[i])
	}
	port := func(i int) string { _, p, _ := net.SplitHostPort(address[i]); return p }
	require.Equal(t, fmt.Sprintf("http://%s http://%s|%s,%s|127.0.0.1|%s$(id)%s\n", address[0], address[1], port(0), port(1), address[3], address[4]), said[servers])
}

// A role with a fixed port publishes it, be it the first of the run that has an address
// or the only one.
func TestFixedPortIsPublished(t *testing.T) {
	t.Parallel()
	server := rundir.RolePlan{Name: "S", Command: `echo "at $CI_DISAGG_HOST:$CI_DISAGG_PORT"`, Outfit: rundir.Outfit{Port: true, FixedPort: 11504}}
	_, at := meeting(t, server)
	checkScripts(t, server)
	require.NoDirExists(t, at.Run.AddressDir())
	said, err := runRole(t, at, "S")
	require.NoError(t, err, said)
	require.Equal(t, "at 127.0.0.1:11504\n", said)
	text, err := os.ReadFile(at.Run.Address("S"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:11504\n", string(text))
}

// What an address file holds is checked and never run, and nobody waits for ever.
func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, said string }{
		"a command":    {"$(touch HERE/run)\n", "does not hold host:port"},
		"a host alone": {"node1\n", "does not hold host:port"},
		"two":          {"node1:80,node2:80\n", "does not hold host:port"},
		"a quote":      {"a';touch HERE/run;':80\n", "does not hold host:port"},
		"nothing":      {"", "S has not published its address within 1s"},
		"an address":   {"node-1.example.org:80\n", "node-1.example.org:80"},
		"version 6":    {"[fd00::2]:80\n", "[fd00::2]:80"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, at := meeting(t)
			p.Budgets.Ready = rundir.Duration(time.Second)
			text, err := roleScript(p, at, rundir.RolePlan{Name: "C", Command: `echo "$A"`, Outfit: rundir.Outfit{Refs: []rundir.AddressRef{{Var: "A", Roles: []string{"S"}, Part: rundir.PartAddress}}}})
			require.NoError(t, err)
			here := t.TempDir()
			require.NoError(t, os.MkdirAll(at.Run.RoleDir("C"), 0o700))
			require.NoError(t, os.MkdirAll(at.Run.AddressDir(), 0o700))
			require.NoError(t, rundir.WriteFile(at.Run.RoleScript("C"), text, rundir.ExecMode))
			require.NoError(t, rundir.WriteFile(at.Run.Address("S"), []byte(strings.ReplaceAll(tt.file, "HERE", here)), rundir.FileMode))
			out, err := runRole(t, at, "C")
			require.Contains(t, out, tt.said)
			require.Equal(t, !strings.HasSuffix(tt.said, ":80"), err != nil)
			require.NoFileExists(t, here+"/run")
		})
	}
}

// A role that is told to end leaves when its command has, which has been told, too.
func TestARoleWaitsForItsCommand(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"in the foreground": `bash -c 'trap "sleep 0.3; echo said goodbye; exit 0" TERM; echo up; while :; do sleep 0.05; done'; echo went on`,
		"in the background": `bash -c 'trap "sleep 0.3; echo said goodbye; exit 0" TERM; echo up; while :; do sleep 0.05; done' & wait; echo went on`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, at := meeting(t, rundir.RolePlan{Name: "S", Command: command})
			// Every process of the role is told, as both backends do.
			out, err := exec.CommandContext(t.Context(), "bash", "-c", `set -m; bash "$0" >"$0.out" 2>&1 & until grep -q up "$0.out" 2>/dev/null; do sleep 0.02; done; kill -TERM -- -$!; wait $!; code=$?; cat "$0.out"; exit $code`, at.Run.RoleScript("S")).CombinedOutput()
			var ended *exec.ExitError
			require.ErrorAs(t, err, &ended, string(out))
			require.Equal(t, 143, ended.ExitCode(), string(out))
			require.Contains(t, string(out), "said goodbye")
			require.NotContains(t, string(out), "went on")
		})
	}
}

func TestCheckOrder(t *testing.T) {
	t.Parallel()
	role := func(name, group string, needs ...string) rundir.RolePlan {
		return rundir.RolePlan{Name: name, Group: group, Lifecycle: rundir.Lifecycle{Needs: needs}}
	}
	require.NoError(t, checkOrder([]rundir.RolePlan{role("A_0", "A"), role("A_1", "A"), role("B", "B", "A")}))
	require.ErrorContains(t, checkOrder([]rundir.RolePlan{role("A", "A", "C")}), "role A needs C, which is no role")
	require.ErrorContains(t, checkOrder([]rundir.RolePlan{role("A", "A", "B"), role("B", "B", "A")}), "role A is never started: what it needs needs it")
	require.ErrorContains(t, checkOrder([]rundir.RolePlan{role("A_0", "A", "A"), role("A_1", "A", "A")}), "never started")
	require.ErrorContains(t, checkOrder([]rundir.RolePlan{role("ADDRESS", "X")}), "is that of the addresses")
	client := role("C", "C")
	client.Refs = []rundir.AddressRef{{Var: "A", Roles: []string{"S"}, Part: rundir.PartURL}}
	require.ErrorContains(t, checkOrder([]rundir.RolePlan{role("S", "S"), client}), "asks for the address of S, which is no role that has a port")
}
