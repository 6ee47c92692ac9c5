// Command trendsbench makes a store of many cases and nights and measures what the pages over all of it cost: cold, and
// when one night is added.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
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
	flag.Parse()
	s.Clusters = strings.Split(*clusters, ",")
	return fill(ctx, *url, s)
}

// fill saves the records of a suite in portions.
func fill(ctx context.Context, url string, s nights.Suite) error {
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
		if records = append(records, r); len(records) == portion {
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
