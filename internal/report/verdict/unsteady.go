package verdict

import (
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// Unsteady is a series that goes back and forth between two levels by itself: a step
// counts only beyond the worse one.
type Unsteady struct {
	Share float64 `json:"share"` // of its runs on the worse level
	Gap   float64 `json:"gap"`   // by how much the number differs there, relative: +0.12 is 12 % higher
	// Levels are the better and the worse one, in the metric's unit.
	Levels [2]float64 `json:"levels"`
}

// steady is the data without a habit of the series: where its past runs go back and
// forth between two levels, all are brought onto the worse one.
func steady(d *bws.Data, past int, dmin float64) (*bws.Data, *bws.Modes) {
	m, found := bws.FindModes(d.Y[:past], dmin)
	if !found {
		return d, nil
	}
	return d.Fold(m), &m
}

// unsteady notes the two levels.
func (j *judgement) unsteady(m bws.Modes) {
	u := Unsteady{Share: m.Share, Levels: [2]float64{j.level(m.Lower), j.level(m.Upper)}}
	u.Gap = u.Levels[1]/u.Levels[0] - 1
	if number(u.Gap) != nil {
		j.Unsteady = &u
	}
}

// Sentence says what is not judged.
func (u Unsteady) Sentence() string {
	where, gap := "higher", u.Gap
	if gap < 0 {
		where, gap = "lower", -gap
	}
	return fmt.Sprintf("unsteady: %.0f %% of its runs lie %s %s; a step within that range is not judged", 100*u.Share, percent(gap), where)
}
