package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// exits runs a program and expects an exit code: exits 4 ci-disagg judge …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// program makes files of the script programs: program bin/sbatch bin/squeue. They
// can be executed at once, whatever the scripts beside this one start.
func program(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: program FILE...")
	}
	for _, file := range args {
		ts.Check(rundir.WriteFile(ts.MkAbs(file), []byte(ts.ReadFile(file)), rundir.ExecMode))
	}
}

// measure plays a benchmark client: measure FILE THROUGHPUT [CONCURRENCY [FAILED]]
// writes what vLLM's `bench serve` would, all latencies in step with the
// throughput.
func measure() {
	arg := func(i int, def string) string {
		if len(os.Args) > i {
			return os.Args[i]
		}
		return def
	}
	num := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return v
	}
	tput, con, failed := num(arg(2, "")), num(arg(3, "64")), num(arg(4, "0"))
	requests := 10 * con
	tokens := 1024 * requests
	ms := 100_000 / tput
	text := fmt.Sprintf(`{"date": null, "backend": "vllm", "label": null, "model_id": "m", "tokenizer_id": "m",
 "num_prompts": %v, "request_rate": "inf", "burstiness": 1.0, "max_concurrency": %v, "duration": %v, "completed": %v, "failed": %v,
 "total_input_tokens": %v, "total_output_tokens": %v, "request_throughput": %v, "request_goodput": null,
 "output_throughput": %v, "total_token_throughput": %v,
 "mean_ttft_ms": %[11]v, "median_ttft_ms": %[11]v, "std_ttft_ms": 1, "p99_ttft_ms": %[11]v,
 "mean_tpot_ms": %[11]v, "median_tpot_ms": %[11]v, "std_tpot_ms": 1, "p99_tpot_ms": %[11]v,
 "mean_itl_ms": %[11]v, "median_itl_ms": %[11]v, "std_itl_ms": 1, "p99_itl_ms": %[11]v,
 "mean_e2el_ms": %[11]v, "median_e2el_ms": %[11]v, "std_e2el_ms": 1, "p99_e2el_ms": %[11]v}
`, requests, con, tokens/tput, requests-failed, failed, tokens, tokens, tput/1024, tput, 2*tput, ms)
	_ = os.MkdirAll(filepath.Dir(os.Args[1]), 0o700)
	if err := os.WriteFile(os.Args[1], []byte(text), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
