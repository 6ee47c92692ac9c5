package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// childEnv makes the test binary play a role instead of running tests.
const childEnv = "CI_DISAGG_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		child(what)
		os.Exit(0)
	}
	code := m.Run()
	if err := testCluster.down(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// child plays a role with its FAULT: "when:how", when being start, serving or
// after, how an exit code, a signal name, stop (SIGSTOP to itself), trace (a
// Python traceback and exit 1) or deaf (SIGTERM is ignored and nothing else goes
// wrong). "rank1:exit" applies to that task only.
func child(what string) {
	if what == "guard" {
		step.ServeGuard(os.Stdin, os.Args[1])
		return
	}
	if what == "agent" {
		os.Exit(childAgent())
	}
	name := os.Getenv("CI_DISAGG_ROLE")
	fmt.Printf("%s task %s of %s on %s gpus %s\n", name, os.Getenv("SLURM_PROCID"), os.Getenv("SLURM_NTASKS"), os.Getenv("SLURMD_NODENAME"), os.Getenv("CUDA_VISIBLE_DEVICES"))
	switch what {
	case "server":
		childServer(name)
	case "client":
		childClient()
	case "precheck":
		fault("start")
	case "noise":
		childNoise()
	default:
		fmt.Println("unknown child", what)
		os.Exit(99)
	}
}

func fault(when string) {
	for f := range strings.SplitSeq(os.Getenv("FAULT"), " ") {
		at, how, _ := strings.Cut(f, ":")
		if at != when {
			continue
		}
		if rank, rest, ok := strings.Cut(how, "@"); ok {
			if rest != os.Getenv("SLURM_PROCID") {
				continue
			}
			how = rank
		}
		fail(how)
	}
}

func fail(how string) {
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM, "ABRT": syscall.SIGABRT, "stop": syscall.SIGSTOP}
	switch sig, ok := signals[how]; {
	case ok:
		_ = syscall.Kill(os.Getpid(), sig)
		time.Sleep(time.Hour)
	case how == "deaf":
		signal.Ignore(syscall.SIGTERM)
	case how == "forever":
		fmt.Println("hanging")
		time.Sleep(time.Hour)
	case how == "trace":
		fmt.Println("Traceback (most recent call last):\n  File \"x.py\", line 3, in <module>\n    boom()\nValueError: planted exception")
		os.Exit(1)
	default:
		n, err := strconv.Atoi(how)
		if err != nil {
			panic(how)
		}
		fmt.Println("leaving with", n)
		os.Exit(n)
	}
}

func outDir() string     { return filepath.Join(os.Getenv("CI_DISAGG_RUN"), "output") }
func statusFile() string { return filepath.Join(outDir(), "benchmark_status.0.txt") }

func childServer(name string) {
	fault("start")
	if os.Getenv("SLURM_PROCID") != "0" { // another rank: stays while rank 0 does
		serveUntilStatus()
		return
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })))
	}()
	time.Sleep(100 * time.Millisecond)
	addr := filepath.Join(outDir(), "hostnames", name+".txt")
	_ = os.MkdirAll(filepath.Dir(addr), 0o700)
	_ = os.WriteFile(addr+".tmp", []byte(l.Addr().String()), 0o600)
	_ = os.Rename(addr+".tmp", addr)
	serveUntilStatus()
}

// serveUntilStatus comes to its fault "serving" at a set time after the client
// has begun, whatever the machine's load and whatever the client does meanwhile.
func serveUntilStatus() {
	served := false
	for {
		if began, err := os.Stat(filepath.Join(outDir(), "client-began")); err == nil && !served {
			served = true
			time.Sleep(time.Until(began.ModTime().Add(400 * time.Millisecond)))
			if strings.Contains(os.Getenv("FAULT"), "serving:stop") {
				awaitBenchmark()
			}
			fault("serving")
		}
		if _, err := os.Stat(statusFile()); err == nil {
			fault("after")
			fmt.Println("status file seen, leaving")
			os.Exit(0)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// awaitBenchmark waits until the agent, too, has seen that all servers are ready:
// what hangs before that is not ready in time.
func awaitBenchmark() {
	dir := rundir.AttemptDir(filepath.Dir(os.Getenv("CI_DISAGG_RUN")))
	for rec := (rundir.AgentRecord{}); rec.Phase != rundir.PhaseBenchmark; time.Sleep(30 * time.Millisecond) {
		_ = rundir.ReadJSON(dir.AgentFile(), &rec) // none, or not yet
	}
}

// childClient waits for the servers, asks them for a while, and writes the
// status file in the end whatever happened, as the real test does.
func childClient() {
	fault("start")
	want := strings.Fields(os.Getenv("SERVERS"))
	for {
		up := 0
		for _, s := range want {
			if ask(s) == nil {
				up++
			}
		}
		if up == len(want) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = os.WriteFile(filepath.Join(outDir(), "client-began"), []byte("now\n"), 0o600)
	fmt.Println("benchmark begins")
	for going := work(); going(); time.Sleep(50 * time.Millisecond) {
		fault("serving")
		fmt.Println("asking") // only a fault makes it silent, however slow the machine
		for _, s := range want {
			if err := ask(s); err != nil {
				fmt.Printf("ConnectionRefusedError: %s: %v\n", s, err)
				_ = os.WriteFile(statusFile(), []byte("Done"), 0o600)
				os.Exit(1)
			}
		}
	}
	if os.Getenv("NO_STATUS") == "" {
		_ = os.WriteFile(statusFile(), []byte("Done"), 0o600)
	}
	fault("after")
}

// work reports whether the benchmark goes on: for the time WORK, or until there is a file "enough" in the output when
// that is "until told".
func work() (going func() bool) {
	if os.Getenv("WORK") == "until told" {
		return func() bool {
			_, err := os.Stat(filepath.Join(outDir(), "enough"))
			return err != nil
		}
	}
	d, err := time.ParseDuration(os.Getenv("WORK"))
	if err != nil {
		d = 1200 * time.Millisecond
	}
	end := time.Now().Add(d)
	return func() bool { return time.Now().Before(end) }
}

func ask(server string) error {
	b, err := os.ReadFile(filepath.Join(outDir(), "hostnames", server+".txt"))
	if err != nil {
		return err
	}
	c := http.Client{Timeout: time.Hour, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get("http://" + string(b) + "/health")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// childNoise prints NOISE lines as fast as it can.
func childNoise() {
	n, _ := strconv.Atoi(os.Getenv("NOISE"))
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "noise line %d of task %s\n", i, os.Getenv("SLURM_PROCID"))
	}
	_, _ = os.Stdout.WriteString(b.String())
	_ = os.WriteFile(statusFile(), []byte("Done"), 0o600)
}
