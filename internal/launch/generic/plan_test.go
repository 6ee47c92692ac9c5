package generic

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// resolve plans a config for a cluster with nodes of four GPUs, as the program does.
func resolve(text string, change ...func(*Input)) ([]rundir.Plan, error) {
	var c Config
	doc, err := strictyaml.Read("c.yaml", []byte(text), &c)
	if err == nil {
		err = errors.Join(c.Validate(doc)...)
	}
	if err != nil {
		return nil, err
	}
	in := Input{
		Config: c, Doc: doc, Base: "/base", Stage: "s",
		Cluster: Cluster{Name: "here", GPUsPerNode: 4, GPUType: "H200"},
		Shared:  Workload{Known: func(string) string { return "" }},
	}
	for _, f := range change {
		f(&in)
	}
	return Resolve(in)
}

func planOf(t *testing.T, text string, change ...func(*Input)) rundir.Plan {
	t.Helper()
	plans, err := resolve(text, change...)
	require.NoError(t, err)
	require.Len(t, plans, 1)
	return plans[0]
}

const redis = `
pipelines:
  redis:
    env: {A: "{case.concurrency}", LOG: "{out}/log", A_B: x}
    roles:
    - name: server
      kind: server
      command: [redis-server, --port, "{port}", --save, ""]
      dir: "{out}"
      ready: {tcp: true, log: 'ready (\d+) {case.concurrency}', file: "{out}/pid"}
    - name: client
      kind: client
      command: redis-benchmark -h {server.host} -p {server.port} -c {case.concurrency} --csv > {out}/bench.csv
      dir: bench
      env: {A_B: "on {server.host}:{server.port}"}
      bench: [{reader: redis-benchmark, files: "{case.concurrency}*.csv"}]
      results: ["*.xml"]
      expect: {concurrency: "{case.concurrency}", requests: 100}
cases:
- {vars: {concurrency: 8}, tags: [nightly], timeout: 20m}
`

func TestPlanOfServerAndClient(t *testing.T) {
	p := planOf(t, redis)
	require.Equal(t, rundir.Case{
		ID: "redis[concurrency=8]", Slug: rundir.Slug("redis[concurrency=8]"), Mode: "custom", Pipeline: "redis",
		Vars: map[string]string{"concurrency": "8"}, Tags: []string{"nightly"}, Timeout: rundir.Duration(20 * time.Minute), Source: "c.yaml:20:3",
	}, p.Case)
	require.Equal(t, map[string]string{"concurrency": "8", "pipeline": "redis", "cluster": "here"}, p.Match)
	require.Equal(t, rundir.Allocation{Nodes: 1}, p.Allocation, "who computes on no GPU asks for none")
	require.Zero(t, p.Drain, "all that works ends the run")
	require.Equal(t, []rundir.Point{{Name: "con8", Concurrency: 8, Requests: 100}}, p.Expected.Points)
	require.Equal(t, "/base", p.Workdir)
	first := []rundir.NodeShare{{Node: 0, Tasks: 1}}
	require.Equal(t, []rundir.RolePlan{
		{
			Name: "server", Kind: rundir.KindServer, Group: "server", Slice: first, Overlap: true,
			Command:   "export LOG=\"${CI_DISAGG_OUT}\"/log\ncd \"${CI_DISAGG_OUT}\" || { echo 'ci-disagg: cannot enter the directory of the role' >&2; exit 78; }\nexec redis-server --port \"${CI_DISAGG_PORT}\" --save ''",
			Env:       []rundir.EnvVar{{Name: "A", Value: "8"}, {Name: "A_B", Value: "x"}},
			Ready:     rundir.Ready{TCP: true, LogPattern: `ready (\d+) 8`, File: "pid"},
			Lifecycle: rundir.Lifecycle{Stop: rundir.StopWithClient}, Outfit: rundir.Outfit{Port: true},
		},
		{
			Name: "client", Kind: rundir.KindClient, Group: "client", Slice: first, Overlap: true, JUnit: true,
			Command: "export LOG=\"${CI_DISAGG_OUT}\"/log\nexport A_B='on '\"${CI_DISAGG_REF_0}\":\"${CI_DISAGG_REF_1}\"\nset -eo pipefail\n" +
				`redis-benchmark -h "${CI_DISAGG_REF_0}" -p "${CI_DISAGG_REF_1}" -c 8 --csv > "${CI_DISAGG_OUT}"/bench.csv`,
			Env:       []rundir.EnvVar{{Name: "A", Value: "8"}},
			Lifecycle: rundir.Lifecycle{Needs: []string{"server"}},
			Outfit: rundir.Outfit{Dir: "/base/bench", Refs: []rundir.AddressRef{
				{Var: "CI_DISAGG_REF_0", Roles: []string{"server"}, Part: "host"}, {Var: "CI_DISAGG_REF_1", Roles: []string{"server"}, Part: "port"},
			}},
			Leaves: rundir.Leaves{Results: []string{"*.xml"}, Bench: []rundir.BenchFiles{{Reader: "redis-benchmark", Files: []string{"8*.csv"}}}},
		},
	}, p.Roles())
}

const disagg = `
pipelines:
  disagg:
    roles:
    - {name: prefill, kind: server, count: "{case.p}", gpus: 1, with: prefill, command: [serve, "{port}", "{index}", "{role}"]}
    - {name: decode, kind: server, count: 1, gpus: 2, with: prefill, command: [serve, "{port}", "{gpus}"]}
    - {name: big, kind: server, gpus: 6, tasks: 6, launcher: mpi, command: [serve, "{nodes}", "{tasks}"]}
    - {name: side, kind: server, critical: false, stop: by-itself, command: [watch]}
    - {name: router, kind: router, command: "route {prefill.urls} {decode.0.address} {prefill.count} {prefill.1.out}/x", ready: {http: /health}, port: 8000}
    - {name: client, kind: client, nodes: 1, command: ["bench", "{router.url}", "{prefill.1.url}"]}
cases: [{vars: {p: 2}}]
`

func TestPlacesOfRoles(t *testing.T) {
	p := planOf(t, disagg)
	share := func(node, tasks, gpus int) rundir.NodeShare {
		return rundir.NodeShare{Node: node, Tasks: tasks, GPUs: gpus}
	}
	type at struct {
		slice   []rundir.NodeShare
		overlap bool
		devices string
	}
	got := map[string]at{}
	for _, r := range p.Roles() {
		a := at{slice: r.Slice, overlap: r.Overlap}
		for _, e := range r.Env {
			a.devices = e.Value
		}
		got[r.Name] = a
	}
	require.Equal(t, map[string]at{
		"prefill_0": {[]rundir.NodeShare{share(0, 1, 1)}, true, "0"},
		"prefill_1": {[]rundir.NodeShare{share(0, 1, 1)}, true, "1"},
		"decode_0":  {[]rundir.NodeShare{share(0, 1, 2)}, true, "2,3"},
		"big":       {[]rundir.NodeShare{share(1, 3, 4), share(2, 3, 2)}, false, ""},
		"side":      {[]rundir.NodeShare{share(0, 1, 0)}, true, ""},
		"router":    {[]rundir.NodeShare{share(0, 1, 0)}, true, ""},
		"client":    {[]rundir.NodeShare{share(3, 1, 0)}, false, ""},
	}, got)
	require.Equal(t, rundir.Allocation{Nodes: 4, GPUsPerNode: 4, AllocatedGPUs: 16, UsedGPUs: 10}, p.Allocation)
	require.Equal(t, map[string]string{"p": "2", "pipeline": "disagg", "cluster": "here", "gpu_type": "H200", "prefill.count": "2", "prefill.gpus": "1", "decode.count": "1", "decode.gpus": "2", "big.gpus": "6", "client.nodes": "1"}, p.Match)
	require.Equal(t, "H200", p.Expected.GPUType)
	roles := p.Roles()
	require.Equal(t, `exec serve "${CI_DISAGG_PORT}" 1 prefill_1`, roles[1].Command)
	require.Equal(t, "pmix", roles[3].MPI)
	require.Equal(t, "set -eo pipefail\nroute \"${CI_DISAGG_REF_0}\" \"${CI_DISAGG_REF_1}\" 2 \"${CI_DISAGG_RUN}\"/output/prefill_1/x", roles[5].Command)
	require.Equal(t, rundir.Outfit{Port: true, FixedPort: 8000, Refs: roles[5].Refs}, roles[5].Outfit)
	require.Equal(t, rundir.Lifecycle{Optional: true}, roles[4].Lifecycle)
	require.Equal(t, []string{"prefill", "decode", "big"}, roles[5].Needs, "nobody waits for who may leave")
	require.Equal(t, []string{"prefill", "decode", "big", "router"}, roles[6].Needs)
	local := planOf(t, disagg, func(in *Input) { in.Local = true; in.Cluster = Cluster{} })
	for _, r := range local.Roles() {
		require.Equal(t, r.GPUs() == 0 && r.Name != "client", r.Overlap, "%s: this machine's GPUs are handed out by the local backend", r.Name)
		require.Empty(t, r.Env)
	}
}

func TestLaunchers(t *testing.T) {
	role := func(keys string) string {
		p := planOf(t, "pipelines: {p: {roles: [{name: r, kind: task, "+keys+"}]}}")
		return p.Roles()[0].Command
	}
	require.Equal(t, `mpirun -np 4 ./a 'b c'`, role(`launcher: "mpirun -np {tasks}", tasks: 4, command: [./a, b c]`))
	require.Equal(t, `numactl -N 0 bash -c $'set -eo pipefail\na && b "${CI_DISAGG_OUT}"'`, role(`launcher: numactl -N 0, command: "a && b {out}"`))
	require.Equal(t, "set -eo pipefail\na\nb", role(`launcher: none, command: "a\nb\n"`))
}

func TestCasesOfMatrices(t *testing.T) {
	pipelines := "pipelines: {a: {roles: [{name: r, kind: task, command: x}]}, b: {roles: [{name: r, kind: task, command: x}]}}\n"
	ids := func(text string, pick Pick) []string {
		plans, err := resolve(pipelines+text, func(in *Input) { in.Pick = pick })
		require.NoError(t, err)
		var out []string
		slugs := map[string]bool{}
		for _, p := range plans {
			out = append(out, p.Case.ID)
			require.False(t, slugs[p.Case.Slug])
			slugs[p.Case.Slug] = true
		}
		return out
	}
	matrix := `
cases:
- {pipeline: b, vars: {n: [1, 02], m: ["x y", z]}, exclude: [{n: 02, m: z}], include: [{n: 3, m: z}], tags: [big, all]}
- {pipeline: a, name: other, tags: all}
`
	all := []string{`b[m="x y",n=1]`, `b[m="x y",n=02]`, `b[m=z,n=1]`, `b[m=z,n=3]`, `other`}
	require.Equal(t, all, ids(matrix, Pick{}))
	require.Equal(t, []string{"a", "b"}, ids("", Pick{}))
	require.Equal(t, all[2:3], ids(matrix, Pick{Cases: []string{"b[m=z,n=1]"}}), "brackets are brackets")
	require.Equal(t, all[2:], ids(matrix, Pick{Cases: []string{"*z*", "oth?r"}}))
	require.Equal(t, all[:4], ids(matrix, Pick{Tags: []string{"big"}}))
	require.Equal(t, all[4:], ids(matrix, Pick{Tags: []string{"all"}, Cases: []string{"other"}}))
	for want, pick := range map[string]Pick{
		"no case is called othr; did you mean \"other\"?":  {Cases: []string{"othr"}},
		"--tag bgi: no case has it; did you mean \"big\"?": {Tags: []string{"bgi"}},
		"no case is both": {Tags: []string{"big"}, Cases: []string{"other"}},
	} {
		_, err := resolve(pipelines+matrix, func(in *Input) { in.Pick = pick })
		require.ErrorContains(t, err, want)
	}
}

// A role that names its host and no port says where it is, and nothing listens there.
func TestHostWithoutPort(t *testing.T) {
	plans, err := resolve("pipelines:\n  p:\n    roles:\n    - {name: s, kind: server, command: 'serve 18766 {host}', ready: {log: up}}\n" +
		"    - {name: c, kind: client, command: 'x {s.host}:18766'}\n")
	require.NoError(t, err)
	roles := plans[0].Builds[0].Roles
	require.True(t, roles[0].Port, "for its host to be known")
	require.Equal(t, []rundir.AddressRef{{Var: "CI_DISAGG_REF_0", Roles: []string{"s"}, Part: rundir.PartHost}}, roles[1].Refs)
}

func TestProblemsHaveTheirPlaces(t *testing.T) {
	p := func(roles string) string { return "pipelines:\n  p:\n    roles:\n" + roles }
	const task = "    - {name: t, kind: task, command: x}\n"
	tests := []struct{ name, text, want string }{
		{"unknown key", p("    - {name: t, kind: task, comand: x}\n"), `c.yaml:4:29: pipelines.p.roles[0].comand: unknown key; did you mean "command"?`},
		{"kind", p("    - {name: t, kind: sever, command: x}\n    - {name: u, kind: task, command: x}\n"), `c.yaml:4:17: pipelines.p.roles[0].kind: "sever" is no kind of role: server (serves until the client is through), router (passes on to servers), client (measures them) or task (does its work and ends); did you mean "server"?`},
		{"no roles", "pipelines: {p: {}}", "pipelines.p.roles: no roles"},
		{"servers only", p("    - {name: s, kind: server, command: x}\n"), "pipelines.p.roles: servers only: nothing here would ever end"},
		{"only who may leave", p("    - {name: s, kind: server, command: x}\n    - {name: t, kind: task, critical: false, command: x}\n"), "c.yaml:5:29: pipelines.p.roles[1].critical: t is all that works here, and nothing waits for who may leave"},
		{"a task ended with the client", p("    - {name: t, kind: task, stop: with-client, command: x}\n    - {name: c, kind: client, command: x}\n"), "c.yaml:4:29: pipelines.p.roles[0].stop: a task is waited for until it ends by itself"},
		{"two clients", p("    - {name: a, kind: client, command: x}\n    - {name: b, kind: client, command: x}\n"), "c.yaml:5:17: pipelines.p.roles[1].kind: a second client"},
		{"two of a name", p(task + task), `c.yaml:5:8: pipelines.p.roles[1].name: "t" is the name of two roles`},
		{"name of an instance", p("    - {name: s, kind: server, count: 2, command: x}\n    - {name: s_1, kind: client, command: x}\n"), `"s_1" is what an instance of s is called`},
		{"reserved name", p("    - {name: port, kind: task, command: x}\n"), `"port" cannot be the name of a role`},
		{"needs", p("    - {name: srv, kind: server, command: x}\n    - {name: c, kind: client, needs: [svr], command: x}\n"), `c.yaml:5:39: pipelines.p.roles[1].needs[0]: "svr" is no role of this pipeline: srv, c; did you mean "srv"?`},
		{"circle", p("    - {name: a, kind: server, needs: [b], command: x}\n    - {name: b, kind: server, needs: [a], command: x}\n    - {name: c, kind: client, command: x}\n"), "a needs b needs a"},
		{"circle of addresses", p("    - {name: a, kind: server, command: 'x {port} {b.url}'}\n    - {name: b, kind: server, needs: [a], command: 'x {port}'}\n    - {name: c, kind: client, command: x}\n"), "asks for the address of b, which starts only after a"},
		{"circle of with", p("    - {name: a, kind: task, with: b, command: x}\n    - {name: b, kind: client, with: a, command: x}\n"), "a with b with a"},
		{"no port", p("    - {name: s, kind: server, ready: {http: /h}, command: x}\n    - {name: c, kind: client, command: x}\n"), "c.yaml:4:39: pipelines.p.roles[0].ready.http: asks at a port, and the role has none"},
		{"the host is no port", p("    - {name: s, kind: server, ready: {http: /h}, command: [serve, '18766', --bind, '{host}']}\n    - {name: c, kind: client, command: x}\n"), "c.yaml:4:39: pipelines.p.roles[0].ready.http: asks at a port, and the role has none: use {port}"},
		{"the host has no port", p("    - {name: s, kind: server, command: 'x {host}'}\n    - {name: c, kind: client, command: 'x {s.url}'}\n"), "c.yaml:5:31: pipelines.p.roles[1].command: {s.url}: s publishes no address: use {port}"},
		{"no path", p("    - {name: s, kind: server, ready: {http: h}, command: 'x {port}'}\n    - {name: c, kind: client, command: x}\n"), `"h" is no path`},
		{"no address", p("    - {name: s, kind: server, command: x}\n    - {name: c, kind: client, command: 'x {s.url}'}\n"), "c.yaml:5:31: pipelines.p.roles[1].command: {s.url}: s publishes no address: use {port}"},
		{"which", p("    - {name: s, kind: server, count: 2, command: 'x {port}'}\n    - {name: c, kind: client, command: 'x {s.url}'}\n"), "{s.url}: which of the 2? {s.0.url} is the first, and {s.urls}"},
		{"too far", p("    - {name: s, kind: server, count: 2, command: 'x {port}'}\n    - {name: c, kind: client, command: 'x {s.2.url}'}\n"), "there are 2 of them, counted from 0"},
		{"near miss", p("    - {name: s, kind: server, command: 'x {port}'}\n    - {name: c, kind: client, command: 'x {s.ulr}'}\n"), "{s.ulr} means nothing; did you mean {s.url}?"},
		{"variable", p("    - {name: t, kind: task, command: 'x {case.concurency}'}\n") + "cases: [{vars: {concurrency: 8}}]", "c.yaml:4:29: pipelines.p.roles[0].command: {case.concurency} means nothing; did you mean {case.concurrency}?"},
		{"argv", p("    - name: t\n      kind: task\n      command: [x, '{case.n}']\n"), "c.yaml:6:7: pipelines.p.roles[0].command: {case.n} means nothing"},
		{"unclosed quote", p("    - {name: t, kind: task, command: \"x '\"}\n"), "pipelines.p.roles[0].command: not a bash command"},
		{"count", p("    - {name: s, kind: server, count: '{case.n}', command: x}\n    - {name: c, kind: client, command: x}\n") + "cases: [{vars: {n: many}}]", `pipelines.p.roles[0].count: expects a whole number, 1 or more, got "many"`},
		{"count on the node", p("    - {name: s, kind: server, count: '{port}', command: x}\n    - {name: c, kind: client, command: x}\n"), `pipelines.p.roles[0].count: expects a whole number`},
		{"pattern on the node", p("    - {name: t, kind: task, results: 'a{port}.xml', command: x}\n"), "pipelines.p.roles[0].results: {port} is known on the node only"},
		{"pattern outside", p("    - {name: t, kind: task, results: ../a.xml, command: x}\n"), "is no pattern of files below"},
		{"ready log", p("    - {name: s, kind: server, ready: {log: '('}, command: x}\n    - {name: c, kind: client, command: x}\n"), "pipelines.p.roles[0].ready.log: error parsing regexp"},
		{"GPUs on nodes", p("    - {name: t, kind: task, gpus: 6, nodes: 1, command: x}\n"), "6 do not fit on 1 nodes with 4 each"},
		{"GPUs shared", p("    - {name: a, kind: server, gpus: 3, command: x}\n    - {name: t, kind: client, gpus: 2, with: a, command: x}\n"), "t takes 2 GPUs of a node, and 3 of its 4 are taken"},
		{"one port twice", p("    - {name: s, kind: server, count: 2, port: 80, command: x}\n    - {name: c, kind: client, command: x}\n"), "c.yaml:4:41: pipelines.p.roles[0].port: s_0 and s_1 would both listen at 80 of one node"},
		{"port out of range", p("    - {name: t, kind: task, port: 99999, command: x}\n"), "c.yaml:4:29: pipelines.p.roles[0].port: 99999 is no port"},
		{"GPUs below zero", p("    - {name: t, kind: task, gpus: -1, command: x}\n"), `c.yaml:4:29: pipelines.p.roles[0].gpus: expects a whole number, 0 or more, got "-1"`},
		{"env", p("    - {name: t, kind: task, env: {A-B: x}, command: x}\n"), `c.yaml:4:35: pipelines.p.roles[0].env.A-B: "A-B" is not a variable name`},
		{"expect", p("    - {name: t, kind: task, expect: {concurrency: [1, 2], requests: [1, 2, 3]}, command: x}\n"), "pipelines.p.roles[0].expect.concurrency: has 2 values, another key 3"},
		{"case of no pipeline", p(task) + "cases:\n- pipeline: q\n", `c.yaml:6:3: cases[0].pipeline: "q" is not one of pipelines: p`},
		{"case without pipeline", "cases: [{}]", "there are no pipelines"},
		{"case twice", p(task) + "cases:\n- vars: {n: [1, 2]}\n- vars: {n: 2}\n", "c.yaml:7:3: cases[1]: the case p[n=2] is there already (cases[0])"},
		{"excluded value", p(task) + "cases:\n- vars: {n: [1, 2]}\n  exclude: [{n: 3}]\n", `c.yaml:7:14: cases[0].exclude[0].n: n is never "3"`},
		{"excluded variable", p(task) + "cases: [{vars: {n: [1, 2]}, exclude: [{m: 3}]}]", "cases[0].exclude[0].m: is no variable of this entry"},
		{"included variable", p(task) + "cases: [{vars: {n: [1, 2], m: 1}, include: [{m: 3}]}]", "cases[0].include[0]: does not say which n"},
		{"variable's name", p(task) + "cases: [{vars: {cluster: 1}}]", `"cluster" cannot be the name of a variable`},
		{"nothing", p(task) + "cases: [{vars: {n: []}}]", "has no value: a matrix over nothing is nothing"},
		{"nested", p(task) + "cases: [{vars: {n: {a: 1}}}]", "expects a value or a list of values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := resolve(tt.text)
			require.ErrorContains(t, err, tt.want)
			require.False(t, strings.Contains(err.Error(), "\n"), "one mistake, one problem: %v", err)
		})
	}
}

// Of several cases of a pipeline a mistake names those that it is in, unless it is in all, or they stand in its path.
func TestMistakesNameTheirCases(t *testing.T) {
	t.Parallel()
	const (
		numbers = "pipelines:\n  p:\n    roles:\n    - {name: s, kind: server, count: '{case.n}', command: 'x {port}'}\n    - {name: c, kind: client, command: 'x {s.1.port}'}\n"
		shares  = "pipelines:\n  p:\n    roles:\n    - {name: a, kind: server, gpus: '{case.n}', command: x}\n    - {name: t, kind: client, gpus: 2, with: a, command: x}\n"
		other   = "  q:\n    roles:\n    - {name: t, kind: task, command: x}\n"
		place   = "c.yaml:5:31: pipelines.p.roles[1].command: "
	)
	for _, tt := range []struct{ name, text, want string }{
		{"one of two", numbers + "cases: [{vars: {n: [1, 2]}}]", place + "{s.1.port}: there are 1 of them, counted from 0 (case p[n=1])"},
		{"two of three", shares + "cases: [{vars: {n: [3, 1, 4]}}]", "c.yaml:5:31: pipelines.p.roles[1].gpus: t takes 2 GPUs of a node, and 3 of its 4 are taken by those it shares it with (a) (case p[n=3])\n" +
			"c.yaml:5:31: pipelines.p.roles[1].gpus: t takes 2 GPUs of a node, and 4 of its 4 are taken by those it shares it with (a) (case p[n=4])"},
		{"one mistake of three of four", numbers + "cases: [{vars: {n: [1, 2], m: 1}}, {vars: {n: 1, m: [2, 3]}}]", place + "{s.1.port}: there are 1 of them, counted from 0 (case p[m=1,n=1] and 2 others)"},
		{"and of two of three", numbers + "cases: [{vars: {n: [1, 2], m: 1}}, {vars: {n: 1, m: 2}}]", place + "{s.1.port}: there are 1 of them, counted from 0 (cases p[m=1,n=1] and p[m=2,n=1])"},
		{"all of a pipeline", numbers + other + "cases: [{pipeline: p, vars: {n: 1, m: [1, 2]}}, {pipeline: q}]", place + "{s.1.port}: there are 1 of them, counted from 0"},
		{"cases of an entry", numbers + "cases: [{vars: {n: [2, 3]}, timeout: 9h}, {vars: {n: 4}}]", "c.yaml:6:29: cases[0].timeout: 9h0m0s is above the job's time limit of 2h0m0s: it can never fire"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := resolve(tt.text)
			require.Error(t, err)
			require.Equal(t, tt.want, err.Error())
		})
	}
}

// A server of which nobody says when it is up is warned of, where others wait for it.
func TestServersThatNeverSayTheyAreReady(t *testing.T) {
	t.Parallel()
	const client = "    - {name: c, kind: client, command: x}\n"
	for _, tt := range []struct{ server, want string }{
		{"{name: s, kind: server, command: x}", `s has no ready:, so c starts at once with it, and may come before it is up: add ready: {log: "what it prints when it is up"}`},
		{"{name: s, kind: router, command: 'x {port}'}", "s has no ready:, so c starts at once with it, and may come before it is up: add ready: {tcp: true}"},
		{"{name: s, kind: server, command: x, ready: {log: up}}", ""},
		{"{name: s, kind: server, command: x, critical: false}", ""},
		{"{name: s, kind: task, command: x}", ""},
	} {
		p := planOf(t, "pipelines:\n  p:\n    roles:\n    - "+tt.server+"\n"+client)
		if tt.want == "" {
			require.Empty(t, p.Warnings, tt.server)
		} else {
			require.Equal(t, []string{tt.want}, p.Warnings)
		}
	}
}

// A role's own container is not left out in silence where there are none.
func TestContainersOfThisMachine(t *testing.T) {
	t.Parallel()
	const text = "pipelines:\n  p:\n    roles:\n    - {name: c, kind: client, container: {image: i}, command: x}\n"
	require.Equal(t, "i", planOf(t, text).Builds[0].Roles[0].Container.Image)
	_, err := resolve(text, func(in *Input) { in.Local = true })
	require.ErrorContains(t, err, "c.yaml:4:43: pipelines.p.roles[0].container.image: the local backend runs no containers")
}

func TestASuiteHasBounds(t *testing.T) {
	t.Parallel()
	text := "pipelines: {p: {roles: [{name: a, kind: task, count: 1000, command: x}]}}\ncases:\n"
	_, err := resolve(text + "  - vars: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], m: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}\n")
	require.ErrorContains(t, err, "pipelines.p.roles[0].count: makes more than the 100000 roles that all cases together may have")
	var values []string
	for i := range 100 {
		values = append(values, strconv.Itoa(i))
	}
	hundred := "[" + strings.Join(values, ", ") + "]"
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"} {
		text += "  - {name: " + name + ", vars: {n: " + hundred + ", m: " + hundred + "}}\n"
	}
	_, err = resolve(text)
	require.ErrorContains(t, err, "cases[10]: makes more than 100000 cases")
}
