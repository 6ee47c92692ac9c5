package builder

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// stale are the results that were written before the attempt began, by their file's time or by what they say: those of
// another one, whoever brought them here. A time that is later proves nothing, the file server's clock may be ahead.
func stale(dir rundir.AttemptDir, found points.Found, began *time.Time) []bench.Problem {
	if began == nil {
		return nil
	}
	tree, err := dir.Tree()
	if err != nil {
		return []bench.Problem{{Text: err.Error()}}
	}
	defer func() { _ = tree.Close() }()
	begin := began.Add(-blame.DefaultSkew) // clocks of two hosts
	var out []bench.Problem
	for _, f := range found.Files {
		info, err := tree.Lstat(f)
		if err != nil || !info.ModTime().Before(begin) {
			continue // what cannot be read was said by who read it
		}
		out = append(out, bench.Problem{File: f, Text: fmt.Sprintf("last written %s, before the attempt began at %s",
			info.ModTime().UTC().Format(time.RFC3339), began.UTC().Format(time.RFC3339))})
	}
	for _, result := range found.Results {
		for _, r := range result.Runs() {
			if at, ok := latest(r.Date); ok && at.Before(begin) {
				out = append(out, bench.Problem{File: r.File, Line: r.Line, Text: fmt.Sprintf("not of this run: it says that it was written at %s, before the attempt began at %s",
					r.Date, began.UTC().Format(time.RFC3339))})
			}
		}
	}
	return out
}

// behindUTC is more than any zone is behind UTC, the furthest by 12 hours: what is written in local time, without its
// zone, was not later than this. A nightly run's file of the night before is not within it.
const behindUTC = 14 * time.Hour

// latest is the latest time that a date can mean, false where it means none.
func latest(date string) (time.Time, bool) {
	const first, last = 1e9, 1e10 // seconds since 1970, of 2001 and later: neither a day nor milliseconds
	if s, err := strconv.ParseFloat(date, 64); err == nil && s >= first && s < last {
		return time.UnixMilli(int64(s * 1000)), true
	}
	if at, err := time.Parse(time.RFC3339, date); err == nil {
		return at, true
	}
	for _, layout := range []string{"20060102-150405", "2006-01-02T15:04:05", time.DateTime} {
		if at, err := time.Parse(layout, date); err == nil {
			return at.Add(behindUTC), true
		}
	}
	return time.Time{}, false
}
