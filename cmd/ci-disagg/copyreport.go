package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/archive"
)

// copyFlags say where a copy of the report goes.
type copyFlags struct {
	copyTo string
	pages  string // web address under which Jenkins keeps it, "" = not known
}

// AddFlags registers the flags.
func (o *copyFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.copyTo, "copy-report", "", "directory for a copy of the report and of the files it links to, such as one in the workspace; result.json there says how the run ended")
}

// around runs a verb that may copy its report, and leaves a result also when there was nothing to report.
func (o *copyFlags) around(h host, verb func() error) error {
	if o.copyTo == "" {
		return verb()
	}
	dir, err := absPath(h, o.copyTo)
	if err != nil {
		return exit.ByUser(err)
	}
	o.pages = archive.Address(h.getenv("BUILD_URL"), h.getenv("WORKSPACE"), o.copyTo, dir)
	o.copyTo = dir
	if err := archive.Prepare(dir); err != nil {
		return exit.ByUser(fmt.Errorf("--copy-report: %w", err))
	}
	if err = verb(); err == nil {
		return nil
	}
	code := exit.Usage
	var end *exit.Error
	if errors.As(err, &end) {
		code = end.Code
	}
	if writeErr := archive.Failed(dir, buildVersion(), code, err); writeErr != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: --copy-report: %v\n", writeErr)
	}
	return err
}
