package baseline_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// writerEnv makes the test binary a writer process: "<store>|<writer>|<records>".
const writerEnv = "BASELINE_TEST_WRITER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(writerEnv); spec != "" {
		if err := writer(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if url := os.Getenv(readerEnv); url != "" {
		if err := reader(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// writer saves records of its own and one that every writer saves, each twice.
func writer(spec string) error {
	parts := strings.Split(spec, "|")
	n, _ := strconv.Atoi(parts[2])
	store, err := baseline.Open(context.Background(), parts[0], true)
	if err != nil {
		return err
	}
	for range 2 {
		for i := range n {
			r := nightly("case/shared", i, 100)
			r.Run = "writer-" + parts[1]
			if _, err := store.Save(context.Background(), r.Normal(), nightly("case/shared", 1000+i, 100)); err != nil {
				return err
			}
		}
	}
	return store.Close()
}

// readerEnv makes the test binary a process that asks a store for the history of "c".
const readerEnv = "BASELINE_TEST_READER"

func reader(url string) error {
	store, err := baseline.Open(context.Background(), url, false)
	if err != nil {
		return err
	}
	_, err = store.History(context.Background(), baseline.Query{Case: "c", Match: nightly("c", 0, 1).Match})
	return err
}

// mortal runs this test binary as a user for whom file permissions hold, also if that is root.
func mortal(t *testing.T, env string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	if os.Getuid() == 0 {
		cmd = exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-dac_override,-dac_read_search", os.Args[0])
	}
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// server is the PostgreSQL of this test binary.
var server struct {
	once sync.Once
	dir  string
	err  error
	stop func()
}

// postgres gives the URL of a fresh database on a PostgreSQL server that belongs
// to this test binary alone: a data directory in the temp directory, no TCP.
func postgres(t testing.TB) string {
	t.Helper()
	need.Long(t, "the Debian package postgresql")
	server.once.Do(func() { server.dir, server.stop, server.err = startPostgres() })
	require.NoError(t, server.err, "these tests need PostgreSQL 12 or newer (Debian: apt-get install postgresql)")
	name := "t" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(t.Name()))
	name = name[:min(len(name), 40)] + strconv.FormatInt(time.Now().UnixNano()%1e9, 36)
	conn, err := pgx.Connect(t.Context(), "postgres://postgres@/postgres?host="+server.dir)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	return "postgres://postgres@/" + name + "?host=" + server.dir
}

func pgTool(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	return exec.LookPath(name)
}

// asPostgres runs a tool as a user that is not root: PostgreSQL refuses root.
func asPostgres(args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	return cmd
}

func startPostgres() (dir string, stop func(), err error) {
	initdb, err := pgTool("initdb")
	if err != nil {
		return "", nil, err
	}
	pgctl, err := pgTool("pg_ctl")
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp("", "pg")
	if err != nil {
		return "", nil, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return "", nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if out, err := asPostgres(initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, out)
	}
	options := fmt.Sprintf("-k %s -c listen_addresses= -c max_wal_size=2GB -c shared_buffers=256MB", dir)
	if out, err := asPostgres(pgctl, "-D", data, "-w", "-t", "240", "-l", filepath.Join(dir, "log"), "-o", options, "start").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, out)
	}
	return dir, func() {
		_ = asPostgres(pgctl, "-D", data, "-w", "-m", "immediate", "stop").Run()
		_ = os.RemoveAll(dir)
	}, nil
}

// bothStores runs a test against each implementation, each with an empty store.
func bothStores(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("dir", func(t *testing.T) {
		t.Parallel()
		fn(t, "dir:"+filepath.Join(t.TempDir(), "store"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, postgres(t))
	})
}

func open(t testing.TB, url string) baseline.Store {
	t.Helper()
	s, err := baseline.Open(t.Context(), url, true)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// day is the i-th day of the tests' calendar.
func day(i int) time.Time {
	return time.Date(2026, 8, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, i)
}

// nightly is a valid run of main on day i.
func nightly(caseID string, i int, value float64) baseline.Record {
	started := day(i)
	return baseline.Record{
		Kind: baseline.KindRun, Case: caseID, Match: map[string]string{"gpu_type": "GB200", "tp": "8"}, Time: day(i),
		Source: "ci-disagg", Run: fmt.Sprintf("nightly-%d", i), Tool: "v1", Cluster: "oci", GPU: "GB200", Container: "sha256:abc",
		Build: rundir.Build{Mode: "nightly", Branch: "main", Commit: fmt.Sprintf("%012x", 0xabc000000000+i), URL: "https://ci/1"},
		Repetitions: []baseline.Repetition{
			{JobID: "1", Nodes: []string{"gb-1-node01", "gb-1-node02"}, NodeSet: "gb-1-node", Started: &started},
		},
		Valid: true, Verdict: verdict.Pass,
		Measurements: []baseline.Measurement{
			{Point: "con64", Metric: "output_token_throughput", Unit: "tok/s", Values: []float64{value}, Verdict: verdict.Pass},
			{Point: "con64", Metric: "ttft_median_ms", Unit: "ms", Values: []float64{0.1 + value/7}},
		},
	}.Normal()
}

func save(t testing.TB, s baseline.Store, records ...baseline.Record) baseline.Saved {
	t.Helper()
	saved, err := s.Save(t.Context(), records...)
	require.NoError(t, err)
	return saved
}

func act(kind baseline.Kind, about baseline.Record, series ...string) baseline.Record {
	return baseline.Record{
		Kind: kind, Case: about.Case, Match: about.Match, Time: about.Time, Build: rundir.Build{Branch: about.Build.Branch},
		Act: &baseline.Act{By: "ana", At: day(400), Why: "new kernel", Target: about.ID, Series: series},
	}.Normal()
}

func ids(records []baseline.Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, r.ID)
	}
	return out
}

func run(t testing.TB, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), out.String())
	return out.String()
}

// noisy is a value around 100 with a deterministic run-to-run noise of about 0.5 %.
func noisy(i int) float64 { return 100 * (1 + 0.005*math.Sin(float64(i)*2.399)) }

const tput = "output_token_throughput"

// throughputRow is the verdict on a run's throughput, judged against the store.
func throughputRow(t testing.TB, s baseline.Store, r baseline.Record) verdict.Row {
	t.Helper()
	setup := judging.Setup{Store: s, Metrics: metric.Default(), Policy: verdict.Policy{Reruns: 3}}
	j := judging.Case(t.Context(), setup, judging.Subject{Record: r, Mode: "e2e"})
	at := slices.IndexFunc(j.Rows, func(r verdict.Row) bool { return r.Metric == tput })
	require.GreaterOrEqual(t, at, 0)
	return j.Rows[at]
}
