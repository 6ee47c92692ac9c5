// Command abeval measures the paired test of package verdict/paired: it draws
// sessions, with and without a change, and prints how often each ends how, and
// after how many pairs.
//
//	go run ./tools/abeval                   # 10,000 sessions a cell: minutes
//	go run ./tools/abeval -sessions 500
//
// In: testdata/perfdata, seeds. Out: tables on stdout, the same for the same
// arguments. It fails when the numbers that the test has to reach are missed.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("abeval", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", filepath.Join("testdata", "perfdata"), "directory of the recorded sessions")
	sessions := flags.Int("sessions", 10_000, "sessions drawn per cell")
	seed := flags.Uint64("seed", 1, "seed of the generator")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "cells drawn at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var missed []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			missed = append(missed, fmt.Sprintf(format, args...))
		}
	}
	rows := operatingTable(*seed, *sessions, *workers)
	printOperating(stdout, rows, *sessions)
	for _, r := range rows {
		r.check(*sessions, check)
	}
	printSuspicious(stdout, suspicious(*seed, *sessions, *workers))
	if err := printRecorded(stdout, *data); err != nil {
		return err
	}
	if len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, "; "))
	}
	fmt.Fprintln(stdout, "every cell is where it has to be")
	return nil
}
