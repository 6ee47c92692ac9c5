package main

import (
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline/exchange"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// importOptions are the flags of baseline import.
type importOptions struct {
	storeFlags
	manualFlags
	caseForm string
	cases    string
	keys     []string
}

func newBaselineImportCmd(h host) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import [flags] FILE...",
		Short: "Bring in records: our own export, upstream's perf_data.yaml, OpenSearch NDJSON",
		Long: `import reads records and stores them. What a file holds is recognised by content:
NDJSON written by export; NDJSON of upstream's OpenSearch index (documents, hits
or search responses, one per line); upstream's perf_data.yaml with its history.

Upstream knows a run by a test name, <server>-<client>, not by a test id. The case
becomes perf/test_perf_sanity.py::test_e2e[disagg_upload-<server>] (aggr_upload-
for aggregated servers), the point con<C>; --case-form or --cases say otherwise.
Importing a file twice changes nothing. "-" is standard input.`,
		Example: `  ci-disagg baseline import --reason "moving over" perf_data.yaml
  ci-disagg baseline import --cases names.yaml --reason "history of B200" hits.ndjson`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runBaselineImport(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.storeFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.caseForm, "case-form", "", "case id of upstream's records, with {server} for the server's name")
	f.StringVar(&o.cases, "cases", "", "YAML file that maps upstream's test or server names to case ids")
	f.StringArrayVar(&o.keys, "match-key", nil, "property of upstream's records that identifies the series (repeatable; default gpu_type)")
	return cmd
}

func runBaselineImport(ctx context.Context, h host, o importOptions, files []string) error {
	return o.change(ctx, h, o.storeFlags, true, func(e curate.Editor, _ config) ([]baseline.Record, error) {
		opt := exchange.Options{Case: o.caseForm, Match: o.keys, Stamp: e.Act, Metrics: e.Setup.Metrics}
		var err error
		if o.cases != "" {
			if opt.Cases, err = readNames(h, o.cases); err != nil {
				return nil, err
			}
		}
		inputs := make([]curate.File, len(files))
		for i, file := range files {
			inputs[i] = curate.File{Name: file, Open: func() (io.Reader, error) { return openInput(h, file) }}
		}
		return e.Import(ctx, inputs, opt)
	})
}

// readNames reads a YAML mapping of names.
func readNames(h host, file string) (map[string]string, error) {
	path, err := absPath(h, file)
	if err != nil {
		return nil, err
	}
	data, err := h.readFile(path)
	if err != nil {
		return nil, err
	}
	var names map[string]string
	return names, strictyaml.Decode(file, data, &names)
}

// openInput opens a file that the user names; "-" is standard input.
func openInput(h host, file string) (io.Reader, error) {
	if file == "-" {
		return h.stdin, nil
	}
	path, err := absPath(h, file)
	if err != nil {
		return nil, err
	}
	data, err := h.readFile(path)
	return bytes.NewReader(data), err
}
