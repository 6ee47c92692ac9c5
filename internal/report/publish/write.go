package publish

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Names of the published files beside those of package rundir.
const (
	caseDir  = "cases"
	chartDir = "charts"
)

// Write publishes d into the report directory dir: the pages and their drawings,
// summary.md, and verdict.json last, because its presence says that the report
// is complete. Pages and drawings of an earlier report are removed. Where one of them
// cannot be written no summary.md and no verdict.json is left, whoever had written them:
// Tell writes those that say so.
//
// The software under test may have put links in the place of any of them: none is
// followed.
func Write(dir string, d report.Report) error {
	return in(dir, func(p place) error {
		err := p.pages(d)
		if err == nil {
			err = p.words(d)
		}
		if err != nil {
			err = errors.Join(err, p.clear())
		}
		return err
	})
}

// Tell writes summary.md and verdict.json alone, each whatever becomes of the other: of a
// report that Write could not write.
func Tell(dir string, d report.Report) error {
	return in(dir, func(p place) error { return p.words(d) })
}

// in opens the tree that a report's directory lies in.
func in(dir string, do func(place) error) error {
	tree, err := rundir.OpenTree(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // all that was written is closed
	return do(place{tree, dir})
}

// place is the directory of a report, in its run's tree.
type place struct {
	tree *rundir.Tree
	dir  string
}

func (p place) path(name ...string) string {
	return filepath.Join(append([]string{p.dir}, name...)...)
}

// words writes what says how the run ended.
func (p place) words(d report.Report) error {
	return errors.Join(
		p.tree.WriteFile(p.path(rundir.ReportSummary), []byte(Summary(d)), rundir.FileMode),
		p.tree.WriteStream(p.path(rundir.ReportVerdict), rundir.FileMode, func(w io.Writer) error { return writeVerdict(w, d) }))
}

// clear removes that, and what stands in the place of the report's directory.
func (p place) clear() error {
	err := errors.Join(p.tree.RemoveAll(p.path(rundir.ReportVerdict)), p.tree.RemoveAll(p.path(rundir.ReportSummary)))
	var other *rundir.NodeError
	if errors.As(err, &other) {
		return p.tree.Remove(p.dir)
	}
	return err
}

// derived writes a file that can be made again from others.
func (p place) derived(name string, data []byte) error {
	return p.tree.WriteDerived(p.path(name), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// writeVerdict writes d as JSON, its head indented and each case on one line: a
// suite of 200 cases with their histories is never in memory a second time.
func writeVerdict(w io.Writer, d report.Report) error {
	cases := d.Cases
	d.Cases = nil
	head, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	// A line break cannot stand inside a JSON string: the match is the field.
	const field = "\n  \"cases\": null"
	before, after, ok := bytes.Cut(head, []byte(field))
	if !ok {
		return errors.New("verdict.json has no cases") // unreachable: the field is never omitted
	}
	out := bufio.NewWriter(w)
	_, _ = out.Write(before) // bufio keeps the first error for Flush
	_, _ = out.WriteString("\n  \"cases\": [")
	for i, c := range cases {
		line, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
		if i > 0 {
			_ = out.WriteByte(',')
		}
		_, _ = out.WriteString("\n    ")
		_, _ = out.Write(line)
	}
	if len(cases) > 0 {
		_, _ = out.WriteString("\n  ")
	}
	_ = out.WriteByte(']')
	_, _ = out.Write(after)
	_ = out.WriteByte('\n')
	return out.Flush()
}

// pages writes everything that a browser shows.
func (p place) pages(d report.Report) error {
	for _, sub := range []string{caseDir, chartDir} {
		if err := p.tree.MkdirAll(p.path(sub)); err != nil {
			return err
		}
	}
	if err := p.derived(look.StyleFile, look.Style()); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	files := make([][]string, len(d.Cases))
	for i := range d.Cases {
		group.Go(func() error {
			var err error
			files[i], err = p.caseFiles(d, d.Cases[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	kept := map[string]bool{}
	for _, names := range files {
		for _, n := range names {
			kept[n] = true
		}
	}
	if err := p.sweep(kept); err != nil {
		return err
	}
	page, err := render("index", viewIndex(d))
	if err != nil {
		return err
	}
	return p.derived(rundir.ReportIndex, page)
}

// caseFiles writes the drawings and the page of one case and gives their names relative
// to the report.
func (p place) caseFiles(d report.Report, c report.CaseReport) ([]string, error) {
	var names []string
	write := func(name string, data []byte) error {
		names = append(names, name)
		return p.derived(name, data)
	}
	for k, r := range charted(c.Metrics) {
		drawing, err := HistoryChart(r)
		if err != nil {
			return nil, fmt.Errorf("chart of %s: %w", words.Row(r), err)
		}
		if err := write(filepath.Join(chartDir, chartFile(c, k)), drawing); err != nil {
			return nil, err
		}
	}
	for name, drawing := range pairsCharts(c) {
		if err := write(filepath.Join(chartDir, name), drawing); err != nil {
			return nil, err
		}
	}
	for _, a := range c.Attempts {
		if drawing := Timeline(a); drawing != nil {
			if err := write(filepath.Join(chartDir, timelineFile(c, a)), drawing); err != nil {
				return nil, err
			}
		}
	}
	page, err := render("case", viewCasePage(d, c))
	if err != nil {
		return nil, fmt.Errorf("page of %s: %w", c.ID, err)
	}
	return names, write(filepath.FromSlash(casePath(c)), page)
}

// sweep removes what this report did not write beside its pages and drawings.
func (p place) sweep(kept map[string]bool) error {
	var errs []error
	for _, sub := range []string{caseDir, chartDir} {
		entries, err := p.tree.List(p.path(sub))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(sub, e.Name())
			if !kept[name] {
				errs = append(errs, p.tree.RemoveAll(p.path(name)))
			}
		}
	}
	return errors.Join(errs...)
}
