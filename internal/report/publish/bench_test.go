package publish

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkReport writes the whole report of 200 cases with 45 metrics and 90
// runs of history each. Run it with -benchtime 1x: the peak of memory is the
// process's, document included (make bench-report).
func BenchmarkReport(b *testing.B) {
	d := suiteDocument(200)
	var seconds, cpu float64
	var files, size int64
	for b.Loop() {
		dir := b.TempDir()
		start, before := time.Now(), cpuSeconds(b)
		require.NoError(b, Write(dir, d))
		seconds, cpu = time.Since(start).Seconds(), cpuSeconds(b)-before
		files, size = 0, 0
		require.NoError(b, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			files, size = files+1, size+info.Size()
			return err
		}))
	}
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	b.ReportMetric(seconds, "s/report")
	b.ReportMetric(cpu, "cpu-s/report")
	b.ReportMetric(float64(usage.Maxrss)/1024, "MB-peak")
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(float64(size)/(1<<20), "MB-written")
	require.Less(b, float64(usage.Maxrss)/1024, 300.0, "megabytes")
	// Processor time: on a busy machine the clock says nothing about us.
	require.Less(b, cpu, 5.0, "seconds")
}

func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
