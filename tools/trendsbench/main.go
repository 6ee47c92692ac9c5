// Command trendsbench makes a store of many cases and nights and measures what the pages over all of it cost: cold, and
// when one night is added.
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/trendpages"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/testkit/nights"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "trendsbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	url := flag.String("store", "", "store to fill, dir:PATH or postgres://…")
	clusters := flag.String("clusters", "h200", "comma-separated clusters, each with its own nights")
	s := nights.Suite{Last: time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC)}
	flag.IntVar(&s.Cases, "cases", 200, "cases")
	flag.IntVar(&s.Nights, "nights", 365, "nights")
	dir := flag.String("o", "", "directory of the pages")
	flag.Parse()
	s.Clusters = strings.Split(*clusters, ",")
	newest := func(r baseline.Record) bool { return r.Kind == baseline.KindRun && !r.Time.Before(s.Last) }
	if err := fill(ctx, *url, s, func(r baseline.Record) bool { return !newest(r) }); err != nil || *dir == "" {
		return err
	}
	if err := pages(ctx, *url, *dir, "cold", time.Minute); err != nil {
		return err
	}
	if err := fill(ctx, *url, s, newest); err != nil {
		return err
	}
	return pages(ctx, *url, *dir, "one night more", 10*time.Second)
}

// mostMemory is what making the pages of 200 cases and a year of nights may take, in MiB.
const mostMemory = 500

// pages writes the pages of a store and prints what that cost; more than it may is an error.
func pages(ctx context.Context, url, dir, what string, limit time.Duration) error {
	store, err := baseline.Open(ctx, url, false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // only read
	began, computed := time.Now(), used()
	since := began.AddDate(-2, 0, 0).UTC().Truncate(24 * time.Hour)
	g, err := trends.Gather(ctx, store, since, trends.ReadCache(dir))
	if err != nil {
		return err
	}
	read := time.Since(began)
	site := trendpages.Site{Gathered: g, Options: trends.Options{Setup: judging.Setup{Metrics: metric.Default()}}, Owner: owners.Owners{}.Of, Tool: "bench", Now: began}
	written, err := site.Write(dir)
	if err != nil {
		return err
	}
	if err := g.Save(dir, since, began); err != nil {
		return err
	}
	took, now := time.Since(began), used()
	cpu := (seconds(now.Utime) + seconds(now.Stime)) - (seconds(computed.Utime) + seconds(computed.Stime))
	fmt.Printf("%s: %.1f s (%.1f s of CPU), of which %.1f s reading %d runs; %d pages, %d MB in the directory, peak memory %d MB\n",
		what, took.Seconds(), cpu, read.Seconds(), g.Read, written.Pages, size(dir)>>20, now.Maxrss>>10)
	if took > limit || now.Maxrss>>10 > mostMemory {
		return fmt.Errorf("%s: more than %s or %d MB", what, limit, mostMemory)
	}
	return nil
}

// used is what this process has used so far.
func used() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it knows this process
	return u
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// size is that of all files below a directory.
func size(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}

// fill saves the wanted records of a suite in portions.
func fill(ctx context.Context, url string, s nights.Suite, want func(baseline.Record) bool) error {
	store, err := baseline.Open(ctx, url, true)
	if err != nil {
		return err
	}
	const portion = 2000
	var records []baseline.Record
	save := func() error {
		_, err := store.Save(ctx, records...)
		records = records[:0]
		return err
	}
	err = s.Records(func(r baseline.Record) error {
		if want(r) {
			records = append(records, r)
		}
		if len(records) == portion {
			return save()
		}
		return nil
	})
	if err == nil {
		err = save()
	}
	if err != nil {
		_ = store.Close() // the first error is the one to tell
		return err
	}
	return store.Close()
}
