package verdict

import "math"

// backRuns is how many runs in a row must be back at the old level before an
// open regression is over; one may be luck.
const backRuns = 3

// openRegression is a regression that nobody accepted and that has not gone.
type openRegression struct {
	since int     // run that raised it
	level float64 // before it, in signed logs
	back  int     // runs in a row that are back
}

// isBack says whether a run is back at the old level.
func (o openRegression) isBack(y, dmin float64) bool { return y-o.level <= 0.7*dmin }

// history is what past verdicts and marks say about the present: pure, and
// folded anew for every judgement.
type history struct {
	open   *openRegression
	onset  int   // first run of the open regression's level
	bounds []int // runs at which an accepted level begins
	alarms bool  // a regression among the last 12 runs
}

// fold walks over the past runs, with their stored verdicts and marks; d holds
// their values.
func (sc *scanner) fold(past []Run, d *data, sign, dmin float64) history {
	h := history{alarms: recentAlarm(past)}
	for j, r := range past {
		if r.Accepted {
			if at := sc.beginOfAccepted(h, d, j, dmin); at > 0 {
				h.bounds = append(h.bounds, at)
			}
			h.open = nil
			continue
		}
		if h.open != nil {
			if !h.open.isBack(d.y[j], dmin) {
				h.open.back = 0
				continue
			}
			h.open.back++
			if h.open.back < backRuns {
				continue
			}
			h.open = nil
		}
		if r.Verdict == Regression {
			h.open = sc.reopen(h, d, j, r.Level, sign, dmin)
		}
	}
	if h.open != nil {
		h.onset = sc.onset(h, d, h.open.since, dmin)
	}
	return h
}

// reopen is the regression that run j raised; its old level is the stored one.
// A verdict without a level came from another rule or another tool: it opens
// nothing unless the scan sees the regression too.
func (sc *scanner) reopen(h history, d *data, j int, stored, sign, dmin float64) *openRegression {
	if badValue(stored) == "" {
		return &openRegression{since: j, level: sign * math.Log(stored)}
	}
	if j < minHistory {
		return nil
	}
	d.bounds = h.bounds
	r := sc.scan(d, j, dmin)
	if r.worse.p >= probability(Sensitive) {
		return &openRegression{since: j, level: r.mu}
	}
	if _, mu, _, ok := sc.late(d, j, dmin, r.noise); ok {
		return &openRegression{since: j, level: mu}
	}
	return nil
}

// onset is the run at which the change that run j raised probably began.
func (sc *scanner) onset(h history, d *data, j int, dmin float64) int {
	if j < minHistory {
		return j
	}
	d.bounds = h.bounds
	r := sc.scan(d, j, dmin)
	if r.worse.p >= 0.5 {
		return r.worse.onset
	}
	if at, _, _, ok := sc.late(d, j, dmin, r.noise); ok {
		return at
	}
	return j
}

// beginOfAccepted is the run at which the level that was accepted at run j
// begins: j, or an earlier run of the regression that was open, as long as the
// runs between are nearer to the new level than to the old one.
func (sc *scanner) beginOfAccepted(h history, d *data, j int, dmin float64) int {
	if h.open == nil {
		return j
	}
	first := max(sc.onset(h, d, h.open.since, dmin), d.lastBound(h.bounds)+1)
	half := (d.y[j] + h.open.level) / 2
	for j > first && d.y[j-1] > half {
		j--
	}
	return j
}

func (d *data) lastBound(bounds []int) int {
	if len(bounds) == 0 {
		return -1
	}
	return bounds[len(bounds)-1]
}
