package trendpages

import (
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
)

// hoursView are the GPU-hours of a month, by case and cause.
type hoursView struct {
	Causes []string
	Total  []string
	Rows   []hoursRow
	More   int
	Nights string
}

type hoursRow struct {
	Case, Page, Where string
	Cells             []hoursCell
}

type hoursCell struct{ Cause, Hours string }

// hours are those of the newest 30 days.
func (v *overview) hours(s *Site, at []int, up string) {
	const days, most = 30, 15
	var some []*trends.History
	for _, i := range at {
		some = append(some, s.Histories[i])
	}
	all, total := trends.HoursSince(some, s.Now.Add(-days*24*time.Hour))
	if len(all) == 0 {
		return
	}
	out := hoursView{Causes: []string{"all"}, Nights: plain.Count(total.Nights, "night"), More: max(0, len(all)-most)}
	for _, cause := range cost.Causes() {
		if total.By[cause] > 0 {
			out.Causes = append(out.Causes, cause)
		}
	}
	for _, c := range cells(total, out.Causes) {
		out.Total = append(out.Total, c.Hours)
	}
	for _, h := range all[:min(len(all), most)] {
		out.Rows = append(out.Rows, hoursRow{Case: h.Case, Page: look.Href(up, casePage(h.History)), Where: h.Where(), Cells: cells(h, out.Causes)})
	}
	v.GPUHours = &out
}

func cells(h trends.Hours, causes []string) (out []hoursCell) {
	for _, cause := range causes {
		hours := h.By[cause]
		if cause == "all" {
			hours = h.Sum
		}
		out = append(out, hoursCell{Cause: cause, Hours: strconv.FormatFloat(hours, 'f', 1, 64)})
	}
	return out
}
