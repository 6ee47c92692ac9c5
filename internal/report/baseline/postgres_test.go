package baseline_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// The server stops between two calls: an UnavailableError, and the same store
// works again once it is back.
func TestPostgresStoppedInBetween(t *testing.T) {
	t.Parallel()
	need.Long(t, "the Debian package postgresql")
	dir, stop, err := startPostgres()
	require.NoError(t, err)
	t.Cleanup(stop)
	s, err := baseline.Open(t.Context(), "postgres://postgres@/postgres?host="+dir, true)
	require.NoError(t, err)
	r := nightly("c", 1, 100)
	save(t, s, r)
	pgctl, err := pgTool("pg_ctl")
	require.NoError(t, err)
	out, err := asPostgres(pgctl, "-D", dir+"/data", "-w", "-m", "immediate", "stop").CombinedOutput()
	require.NoError(t, err, string(out))

	_, err = s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
	var un *baseline.UnavailableError
	require.ErrorAs(t, err, &un)
	_, err = s.Save(t.Context(), r)
	require.ErrorAs(t, err, &un)
	row := throughputRow(t, s, nightly("c", 2, 100))
	require.Equal(t, verdict.BaselineUnavailable, row.Verdict)

	out, err = asPostgres(pgctl, "-D", dir+"/data", "-w", "-l", dir+"/log", "-o", "-k "+dir+" -c listen_addresses=", "start").CombinedOutput()
	require.NoError(t, err, string(out))
	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
	require.NoError(t, err)
	require.Equal(t, []baseline.Record{r}, h.Runs)
}

// A connection that is cut while the benchmark runs costs nothing.
func TestPostgresConnectionCutInBetween(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	s := open(t, url)
	r := nightly("c", 1, 100)
	conn := connect(t, url)
	cut := func() {
		_, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		require.NoError(t, err)
	}
	cut()
	save(t, s, r)
	cut()
	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
	require.NoError(t, err)
	require.Equal(t, []baseline.Record{r}, h.Runs)
	cut()
	n, err := s.Delete(t.Context(), baseline.Filter{IDs: []string{r.ID}})
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// A writer that dies in the middle of a write leaves none of it.
func TestPostgresTornWrite(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	s := open(t, url)
	records := []baseline.Record{nightly("c", 1, 100), nightly("c", 2, 101), nightly("c", 3, 102)}
	middle := slices.Sorted(slices.Values(ids(records)))[1]
	conn, watch := connect(t, url), connect(t, url)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO ci_disagg_records (id, kind, case_id, match_key, match, time, mode, branch, commit_id, change_id,
 run_id, build_url, cluster, gpu, nodes, container, tool, source, valid, verdict, act_by, act_why, act_target, record)
 VALUES ($1, 'run', '', '', '{}', now(), '', '', '', '', '', '', '', '', '{}', '', '', '', true, '', '', '', '', '{}')`, middle)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := s.Save(context.Background(), records...)
		done <- err
	}()
	const waiting = ` FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ci-disagg' AND wait_event_type = 'Lock'`
	require.Eventually(t, func() bool { // the first record is in, the second one waits
		var n int
		return watch.QueryRow(t.Context(), `SELECT count(*)`+waiting).Scan(&n) == nil && n == 1
	}, time.Minute, 5*time.Millisecond)
	_, err = watch.Exec(t.Context(), `SELECT pg_terminate_backend(pid)`+waiting)
	require.NoError(t, err)
	require.True(t, baseline.IsUnavailable(<-done))
	require.NoError(t, tx.Rollback(t.Context()))

	q := baseline.Query{Case: "c", Match: records[0].Match}
	h, err := s.History(t.Context(), q)
	require.NoError(t, err)
	require.Empty(t, h.Runs, "all or nothing")
	require.Equal(t, baseline.Saved{Added: 3}, save(t, s, records...))
	h, err = s.History(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, ids(records), ids(h.Runs))
}

func TestDashboardsCanQueryOneTable(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	s := open(t, url)
	r := nightly("perf/a[b]", 1, 100)
	r.Measurements[0].Values = []float64{100, 90, 120}
	save(t, s, r)
	conn := connect(t, url)
	var value float64
	var reps int
	var gpu, commit string
	require.NoError(t, conn.QueryRow(t.Context(), `
SELECT value, repetitions, gpu, commit_id FROM ci_disagg_values
 WHERE case_id = 'perf/a[b]' AND point = 'con64' AND metric = 'output_token_throughput' AND branch = 'main'`).
		Scan(&value, &reps, &gpu, &commit))
	require.InDelta(t, 100, value, 0)
	require.Equal(t, 3, reps)
	require.Equal(t, "GB200", gpu)
	require.Equal(t, r.Build.Commit, commit)
}

// A reader needs no more than SELECT.
func TestReadOnlyUserCanJudge(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	r := nightly("c", 1, 100)
	save(t, open(t, url), r)
	conn := connect(t, url)
	role := fmt.Sprintf("reader%d", time.Now().UnixNano())
	_, err := conn.Exec(t.Context(), fmt.Sprintf(`CREATE ROLE %s LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s`, role, role))
	require.NoError(t, err)
	dropRoles(t, url, role)
	s, err := baseline.Open(t.Context(), strings.Replace(url, "postgres@", role+"@", 1), false)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
	require.NoError(t, err)
	require.Len(t, h.Runs, 1)
	_, err = s.Save(t.Context(), r)
	require.ErrorAs(t, err, new(*baseline.UnavailableError))
}

// Rows that someone broke by hand are left out, and said.
func TestBrokenRowsAreSaid(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	s := open(t, url)
	a, b, c := nightly("c", 1, 100), nightly("c", 2, 100), nightly("c", 3, 100)
	save(t, s, a, b, c)
	conn := connect(t, url)
	_, err := conn.Exec(t.Context(), `UPDATE ci_disagg_records SET record = '{"schema": 7}' WHERE id = $1`, b.ID)
	require.NoError(t, err)
	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: a.Match})
	require.NoError(t, err)
	require.Equal(t, ids([]baseline.Record{a, c}), ids(h.Runs))
	require.Contains(t, h.Warnings[0], "row "+b.ID+" is left out: schema 7 is newer")
	_, err = conn.Exec(t.Context(), `UPDATE ci_disagg_records SET record = '[]'`)
	require.NoError(t, err)
	_, err = s.History(t.Context(), baseline.Query{Case: "c", Match: a.Match})
	require.ErrorAs(t, err, new(*baseline.UnavailableError), "more is broken than readable")
}

// dropRoles removes roles after the test: they are of the whole cluster, not of the test's database.
func dropRoles(t *testing.T, url string, names ...string) {
	t.Helper()
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		require.NoError(t, err)
		all := strings.Join(names, ", ")
		_, err = conn.Exec(context.Background(), "DROP OWNED BY "+all+"; DROP ROLE "+all)
		require.NoError(t, err)
		require.NoError(t, conn.Close(context.Background()))
	})
}

// The two roles of the documentation: the reader judges and can change nothing, the writer stores and cannot remove.
func TestPostgresRoles(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	owner := open(t, url)
	first := nightly("c", 1, 100)
	save(t, owner, first)
	docs, err := os.ReadFile("../../../docs/baseline.md")
	require.NoError(t, err)
	var grants string
	for _, block := range strings.Split(string(docs), "```sql\n")[1:] {
		if sql, _, ok := strings.Cut(block, "```"); ok && strings.Contains(sql, "GRANT") {
			grants += sql
		}
	}
	require.NotEmpty(t, grants)
	_, err = connect(t, url).Exec(t.Context(), grants)
	require.NoError(t, err)
	dropRoles(t, url, "ci_disagg_reader", "ci_disagg_writer")
	as := func(role string) baseline.Store {
		s, err := baseline.Open(t.Context(), strings.Replace(url, "postgres://postgres@", "postgres://"+role+"@", 1), true)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	reader, writer := as("ci_disagg_reader"), as("ci_disagg_writer")
	poison := nightly("c", 2, 1)
	_, err = reader.Save(t.Context(), poison)
	require.ErrorContains(t, err, "permission denied")
	require.ErrorContains(t, err, "storing takes the writer's")
	for _, s := range []baseline.Store{reader, writer} {
		_, err = s.Delete(t.Context(), baseline.Filter{IDs: []string{first.ID}})
		require.ErrorContains(t, err, "permission denied")
	}
	h, err := reader.History(t.Context(), baseline.Query{Case: "c", Match: first.Match})
	require.NoError(t, err)
	require.Equal(t, []baseline.Record{first}, h.Runs, "the reader's record is not there")
	save(t, writer, nightly("c", 3, 102))
	h, err = reader.History(t.Context(), baseline.Query{Case: "c", Match: first.Match})
	require.NoError(t, err)
	require.Len(t, h.Runs, 2)
}
