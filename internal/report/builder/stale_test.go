package builder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a file says of itself is proof where its own time is not, and only as far as no zone explains it.
func TestDateBeforeTheAttempt(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	serving := func(date string) string {
		return `{"date": ` + date + `, "duration": 12.5, "completed": 64, "num_prompts": 64, "max_concurrency": 8, "output_throughput": 2621.4}`
	}
	for name, tt := range map[string]struct {
		file, text string
		stale      bool
	}{
		"the night before":          {"a.json", serving(`"20261119-030000"`), true},
		"years before":              {"a.json", serving(`"20231119-030000"`), true},
		"in a zone behind":          {"a.json", serving(`"20261119-151000"`), false},
		"after it began":            {"a.json", serving(`"20261120-031000"`), false},
		"in a zone ahead":           {"a.json", serving(`"20261120-171000"`), false},
		"seconds since 1970":        {"a.json", serving("1795143540.5"), true}, // a minute before
		"within the skew of clocks": {"a.json", serving("1795143598"), false},
		"seconds, after it began":   {"a.json", serving("1795143660"), false},
		"with its zone":             {"a.json", serving(`"2026-11-20T03:59:00+01:00"`), true},
		"with its zone, after":      {"a.json", serving(`"2026-11-20T04:01:00+01:00"`), false},
		"none":                      {"a.json", serving("null"), false},
		"not readable":              {"a.json", serving(`"yesterday"`), false},
		"a number that is no time":  {"a.json", serving("20261119"), false},
	} {
		for clock, mtime := range map[string]time.Time{"as it is": began.Add(time.Minute), "an hour ahead": began.Add(time.Hour), "a year ahead": began.AddDate(1, 0, 0)} {
			path := filepath.Join(t.TempDir(), tt.file)
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
			require.NoError(t, os.Chtimes(path, mtime, mtime))
			found, err := points.Reader{}.Gather(path)
			require.NoError(t, err)
			require.Empty(t, found.Problems)
			got := stale(rundir.AttemptDir(filepath.Dir(path)), found, &began)
			if !tt.stale {
				require.Empty(t, got, "%s, the file server's clock %s", name, clock)
				continue
			}
			require.Len(t, got, 1, "%s, the file server's clock %s", name, clock)
			require.Equal(t, path, got[0].File)
			require.Contains(t, got[0].Text, "not of this run: it says that it was written at ")
			require.Contains(t, got[0].Text, "before the attempt began at 2026-11-20T03:00:00Z")
		}
	}
	require.Empty(t, stale("", points.Found{}, nil))

	// Of a median, each run that it is of counts.
	path := filepath.Join(t.TempDir(), "all.jsonl")
	text := serving(`"20261119-030000"`) + "\n" + serving(`"20261120-031000"`) + "\n" + serving(`"20261119-030000"`) + "\n"
	text = strings.Replace(strings.Replace(text, "12.5", "13.5", 1), "12.5", "14.5", 1)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(path, began, began))
	found, err := points.Reader{DiscardFirst: true}.Gather(path)
	require.NoError(t, err)
	require.Len(t, found.Results, 1)
	got := stale(rundir.AttemptDir(filepath.Dir(path)), found, &began)
	require.Len(t, got, 1)
	require.Equal(t, 3, got[0].Line)
}
