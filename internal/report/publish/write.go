package publish

import (
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Write publishes d into the report directory dir: verdict.json last, because
// its presence says that the report is complete.
func Write(dir string, d Document) error {
	if err := rundir.WriteFile(filepath.Join(dir, rundir.ReportSummary), []byte(Summary(d)), rundir.FileMode); err != nil {
		return err
	}
	return rundir.WriteJSON(filepath.Join(dir, rundir.ReportVerdict), d)
}
