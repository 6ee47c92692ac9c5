// Command steplogbench generates a generation server's log of any size and
// reads it with the shipped reader. run.sh beside it compares that with a loop
// in Python over the same file; make bench-steplog runs it.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, time.Now); err != nil {
		fmt.Fprintln(os.Stderr, "steplogbench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer, now func() time.Time) error {
	fs := flag.NewFlagSet("steplogbench", flag.ContinueOnError)
	generate := fs.Int64("generate", 0, "write a log of so many MB instead of reading one")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errors.New("one file is needed")
	}
	if *generate > 0 {
		return writeLog(fs.Arg(0), *generate*1_000_000)
	}
	info, err := os.Stat(fs.Arg(0))
	if err != nil {
		return err
	}
	f, err := os.Open(fs.Arg(0))
	if err != nil {
		return err
	}
	start := now()
	results, err := bench.Reader{}.Read(f, fs.Arg(0))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	took := now().Sub(start).Seconds()
	w := results[0].Steps
	fmt.Fprintf(out, "rows=%d used=%d tokens=%d mean=%.9f median=%.9f seconds=%.3f mb_per_s=%.0f\n",
		w.Rows, w.Used, w.Tokens, w.Mean, w.Median, took, float64(info.Size())/1e6/took)
	return nil
}

// writeLog writes what a generation server with print_iter_log leaves behind:
// progress bars while the model loads, then one line per iteration with a
// warning now and then, a ramp at either end of each of a few rounds.
func writeLog(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	c := &counter{w: bufio.NewWriterSize(f, 1<<20)}
	rng := rand.New(rand.NewPCG(7, 11))
	for i := range 2000 {
		fmt.Fprintf(c, "Loading weights:  %2d%%|%s| %d/2000 [00:%02d<00:%02d, 33.12it/s]\r", i/20, "██████▌   ", i, i/40, 50-i/40)
	}
	fmt.Fprintln(c)
	const round = 200_000
	for iter := 1; c.n < size; iter++ {
		if rng.IntN(50) == 0 {
			fmt.Fprintf(c, "[11/21/2026-18:%02d:%02d] [TRT-LLM] [W] [_torch][RANK 0] kv cache block reuse is disabled for request %d\n", iter/60%60, iter%60, rng.IntN(1<<20))
		}
		tokens, scheduled := 2048, 512
		switch at := iter % round; {
		case at < 200, at > round-200:
			scheduled = rng.IntN(513)
			tokens = 4 * scheduled
		}
		host := 7.2 * math.Exp(0.03*rng.NormFloat64())
		step := fmt.Sprintf("%vms", host-0.2*rng.Float64())
		if iter == 1 {
			step = "N/A"
		}
		fmt.Fprintf(c, "[11/21/2026-18:%02d:%02d] [TRT-LLM] [I] [_torch][RANK 0] iter = %d, global_rank = 0, rank = 0, "+
			"num_scheduled_requests = %d, kv_cache_util = 0.4375, currank_total_requests = %d/512, host_step_time = %vms, "+
			"prev_device_step_time = %s, timestamp = 2026-11-21 18:%02d:%02d, "+
			"states = {'num_ctx_requests': 0, 'num_ctx_tokens': 0, 'num_generation_tokens': %d}\n",
			iter/8000%60, iter/133%60, iter, scheduled, scheduled, host, step, iter/8000%60, iter/133%60, tokens)
	}
	return c.w.Flush()
}

// counter counts what is written.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
