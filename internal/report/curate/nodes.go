package curate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
)

// Nodes shows the cards and nodes that are slower than their peers by the runs that pass
// the filter.
func (e Editor) Nodes(ctx context.Context, t tables.Printer, f baseline.Filter, asJSON bool) error {
	records, err := e.Records(ctx, f)
	if err != nil {
		return err
	}
	readings := lemons.Readings(records, e.Setup.Metrics, e.Setup.Gates)
	found := lemons.Find(readings)
	if asJSON {
		enc := json.NewEncoder(e.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(append([]lemons.Lemon{}, found...))
	}
	if len(readings) == 0 {
		fmt.Fprintf(e.Out, "%d runs say nothing of nodes: a series needs 8 runs, and they have to name theirs\n", len(records))
		return nil
	}
	units := lemons.Units(readings)
	if len(found) == 0 {
		fmt.Fprintf(e.Out, "none of %d cards and nodes is slower than its peers, by %d jobs of %d runs\n", units, len(readings), len(records))
		return nil
	}
	t.Lemons(found)
	var nodes []string
	for _, l := range found {
		nodes = append(nodes, l.Node)
	}
	slices.Sort(nodes)
	fmt.Fprintf(e.Out, "%d of %d cards and nodes, by %d jobs of %d runs. What they cost is taken out of later verdicts.\nto keep jobs away from them: clusters.NAME.exclude: [%s]\n",
		len(found), units, len(readings), len(records), strings.Join(slices.Compact(nodes), ", "))
	return nil
}
