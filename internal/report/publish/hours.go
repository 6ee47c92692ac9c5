package publish

import (
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
)

// shownIdle is how many idle roles a line names.
const shownIdle = 6

// hours says where GPU-hours went: 4.00 allocated: 2.43 useful, 1.57 idle (decode 0.90, prefill 0.67).
func hours(s cost.Spent) string {
	var causes, idle []string
	for _, x := range s.Shares() {
		if !x.Idle {
			causes = append(causes, look.Hours(x.Hours)+" "+x.Name)
			continue
		}
		idle = append(idle, x.Name+" "+look.Hours(x.Hours))
	}
	if n := len(idle) - shownIdle; n > 1 {
		idle = append(idle[:shownIdle], fmt.Sprintf("%d more", n))
	}
	if len(idle) > 0 {
		causes = append(causes, fmt.Sprintf("%s idle (%s)", look.Hours(s.IdleHours()), strings.Join(idle, ", ")))
	}
	text := look.Hours(s.Allocated) + " allocated"
	if len(causes) > 0 {
		text += ": " + strings.Join(causes, ", ")
	}
	return text
}

// hoursOfRun says it of all cases together.
func hoursOfRun(d report.Report) string {
	var sum cost.Spent
	for _, c := range d.Cases {
		sum.Add(c.Spent)
	}
	return hours(sum)
}

// part is a part of the benchmark in percent.
func part(of *float64) string { return fmt.Sprintf("%.0f %%", 100**of) }
