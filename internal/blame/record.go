package blame

import "github.com/ci-disagg/ci-disagg/internal/rundir"

// Record is the finding as it stands in the records of an attempt and in its report.
func (f Finding) Record() *rundir.Finding {
	rec := &rundir.Finding{
		Root: f.Root, Class: string(f.Class), Kind: f.Kind, Rule: f.Rule, Message: f.Message,
		Roots: f.MoreRoots, Collateral: f.Collateral, BadNodes: f.BadNodes,
	}
	if f.Line != nil {
		rec.Line = &rundir.LogLine{File: f.Line.File, Number: f.Line.Number, Text: f.Line.Text, Last: f.Line.Last}
	}
	return rec
}
