package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// The bounds of the verdict on a case of several gating series.
const (
	// manySeries is how many are many: two or three say little more than each of them.
	manySeries   = 4
	caseOpen     = 0.33  // below it the evidence speaks against a change
	beyondDoubt  = 0.995 // of one series: red whatever the others say
	beyondDoubtZ = 5     // the same for the late channel
)

// Question is one series of a case, with the policy that holds for it.
type Question struct {
	Series Series
	Policy Policy
}

// Case is the verdict on a case: what its gating series say together.
type Case struct {
	// P is the probability that the case has become worse within the window, over
	// all its gating series; nil with fewer than two that have a history.
	P      *float64 `json:"p_regression,omitempty"`
	Series int      `json:"series"`          // that were weighed together
	Alarm  bool     `json:"alarm,omitempty"` // this run shows a new regression
	Open   bool     `json:"open,omitempty"`  // a regression is open
	Since  string   `json:"since,omitempty"` // run that raised the open one
	// Moved are the series that are worse, as point/metric.
	Moved []string `json:"moved,omitempty"`
	// Onset is where the newest regression began: a further one behind an open one
	// goes first.
	Onset *Onset `json:"onset,omitempty"`
	// FalseAlarms is how many false alarms are to be expected of this judgement,
	// measured on recorded histories.
	FalseAlarms float64 `json:"expected_false_alarms"`
}

// Onset is the run with which a change began.
type Onset struct {
	Run    string    `json:"run"`
	Time   time.Time `json:"time"`
	Commit string    `json:"commit,omitempty"`
	Good   string    `json:"good_commit,omitempty"` // of the run before it
}

// scannedSeries is what bws has seen of a series.
type scannedSeries struct {
	d        *bws.Data
	r        bws.Result
	q        question
	shift    float64 // node offset that was taken out of the newest run
	z        float64 // of the late channel, 0 = it found nothing
	evidence evidence
}

// JudgeCase judges all series of one case. A red series is a reason to look; with
// several gating series the case decides: their evidence together, or one that
// is beyond doubt, or a pinned value. Rows that do not gate, and those of the other
// rules, are judged by themselves.
func JudgeCase(all []Question) ([]Row, Case) {
	js := make([]*judgement, len(all))
	var together []*judgement
	for i, q := range all {
		js[i] = judge(q.Series, q.Policy)
		if j := js[i]; !j.Advisory && j.scanned != nil && len(j.scanned.evidence.window) > 0 {
			together = append(together, j)
		}
	}
	c := Case{Series: len(together)}
	if len(together) > 1 {
		c.decide(together)
	}
	rows := make([]Row, len(js))
	for i, j := range js {
		j.finish()
		rows[i] = j.Row
	}
	c.summarise(js)
	for i, j := range js {
		rows[i].Onset = j.Onset
	}
	return rows, c
}

// decide lets the series of a case decide together.
func (c *Case) decide(together []*judgement) {
	evidence := make([]evidence, len(together))
	pr, question, slow, again := together[0].pr, false, 0, false
	for i, j := range together {
		evidence[i] = j.scanned.evidence
		question = question || evidence[i].question
		again = again || len(j.series.New.Values) > 1
		if j.Slow {
			slow++
		}
	}
	s := scanCase(evidence)
	if pr && question { // main may be the reason: only what begins with this run counts
		s.p = s.own
	}
	c.P = number(s.p)
	s.limit = caseLimit(together[0].sensitive, len(together) >= manySeries && !again)
	s.red = s.p >= s.limit
	if s.red && !again && s.p-s.own < s.limit && s.p < beyondDoubt {
		s.red, s.alone = false, true
	}
	for i, j := range together {
		moved := s.moved[i]
		if pr {
			moved = evidence[i].worse[len(evidence[i].worse)-1] > 0
		}
		j.inCase(s, moved, 2*slow >= len(together) && slow > 1, len(together))
	}
}

// caseLimit is the probability from which a strictness calls a case red. Many series,
// measured once, are rarely all wrong together. Few are more often; and repetitions of
// a bad night are likely to be bad as well, so that they make surer than they should.
func caseLimit(s Strictness, manyOnce bool) float64 {
	switch {
	case s == Sensitive && manyOnce:
		return 0.4
	case s == Strict && manyOnce:
		return 0.7
	case s == Sensitive || s != Strict && manyOnce:
		return 0.5
	case s == Strict:
		return 0.9
	default:
		return 0.8
	}
}

// inCase brings the verdict of one series in line with that of its case: red if
// the case is and the series has moved with it, or if it is beyond doubt by itself;
// left open if all of that is this one run, and nobody has measured it again.
// slow says that enough series have found a slow regression.
func (j *judgement) inCase(s scanned, moved, slow bool, count int) {
	red, alone := s.red && moved, s.alone && moved
	extra := len(j.series.New.Values) - 1
	j.Suspicious = j.Suspicious || j.reruns > 0 && (alone || red && (extra == 0 || s.p < settled))
	together := fmt.Sprintf("the %d gating series of the case together have become worse with probability %s", count, chance(s.p))
	sure := j.Slow && (slow || j.scanned.z >= beyondDoubtZ) || !j.Slow && j.scanned.q.p >= beyondDoubt
	switch at := j.index(s.onset); {
	case red && at >= 0 && (!j.Alarm || !j.Slow):
		j.redWithCase(at)
		j.ofCase = together
	case alone && !sure:
		j.calm(s, true)
		j.ofCase = together + fmt.Sprintf(", by this one run, which was measured once: bad luck that all of them share looks the same (a regression from %.3f on, or once it was measured again)", beyondDoubt)
	case j.Alarm && !sure:
		j.calm(s, false)
		j.ofCase = together + fmt.Sprintf(": too little for an alarm (%.2f needed, or %.3f in one series)", s.limit, beyondDoubt)
	case j.Verdict == Inconclusive && j.newNodes == "" && s.p < caseOpen:
		j.Verdict = Pass
		j.ofCase = together
	}
}

// redWithCase makes the series red with its case, by a step that begins with run at.
func (j *judgement) redWithCase(at int) {
	sc := j.scanned
	if j.Open {
		if !j.Alarm {
			j.further(sc.r, at)
		}
		return
	}
	suspicious := j.Suspicious
	j.Reason = ""
	if j.over != "" {
		j.say("%s", j.over)
	}
	j.raise(sc.d, sc.r, sc.q, at)
	j.Suspicious = j.Suspicious || suspicious
	sc.r.Worse.Onset = j.beginAt(at)
	j.explain(sc.r, sc.q, false)
}

// calm takes back an alarm that the case does not share. open leaves it undecided
// whatever the series itself says.
func (j *judgement) calm(s scanned, open bool) {
	j.Alarm = false
	if j.Open {
		return
	}
	j.Slow, j.Onset, j.Effect = false, "", nil
	j.Verdict = Pass
	if open || s.p >= caseOpen && (j.Suspicious || j.tried > 0) {
		j.Verdict = Inconclusive
	}
	j.against(j.level(j.scanned.q.base))
	j.measured(j.scanned.r, j.scanned.q.base)
	j.Reason = ""
	if j.over != "" {
		j.say("%s", j.over)
	}
	if open {
		j.say("%s. %s", j.comparison(j.scanned.r), j.whyUndecided())
		return
	}
	j.explain(j.scanned.r, j.scanned.q, j.Suspicious)
}

// summarise reads the case off its rows, and gives all of a regression one onset.
func (c *Case) summarise(js []*judgement) {
	var first, newest *judgement // the earliest open one, the earliest of the new ones
	for _, j := range js {
		if j.Advisory || j.Verdict != Regression {
			continue
		}
		c.Moved = append(c.Moved, strings.TrimPrefix(j.Point+"/"+j.Metric, "/"))
		if j.Alarm && j.Onset != "" && (newest == nil || j.begun().Before(newest.begun())) {
			newest = j
		}
		if j.Open && (first == nil || j.begun().Before(first.begun())) {
			first = j
		}
	}
	c.Alarm, c.Open = newest != nil, first != nil
	if first != nil {
		c.Since = first.Since
	}
	if j := cmp.Or(newest, first); j != nil {
		c.Onset = j.onset(j.Onset)
	}
	for _, j := range js {
		if newest != nil && !j.Advisory && j.Alarm && j.onset(newest.Onset) != nil {
			j.Onset = newest.Onset
		}
	}
	c.FalseAlarms = expectedFalseAlarms(c.Series, js)
}

// begun is the time of the run with which the row's regression began.
func (j *judgement) begun() time.Time {
	if o := j.onset(j.Onset); o != nil {
		return o.Time
	}
	return j.series.New.Time
}

// False alarms per judgement, as measured on recorded histories. Repetitions of a case
// were its neighbouring nights there: bad nights come in twos and threes, and then
// confirm each other.
const (
	falseAlarmsSeries    = 0.0055 // of one series
	falseAlarmsCase      = 0.004  // of several series together
	falseAlarmsCaseAgain = 0.007  // the same with repetitions
)

// expectedFalseAlarms is that of the series that were weighed together, or of the
// one that there is. Pins are promises: nobody has measured how often they break.
func expectedFalseAlarms(count int, js []*judgement) float64 {
	again := slices.ContainsFunc(js, func(j *judgement) bool { return j.reruns > 0 || j.tried > 0 })
	switch {
	case count > 1 && again:
		return falseAlarmsCaseAgain
	case count > 1:
		return falseAlarmsCase
	case count == 1:
		return falseAlarmsSeries
	default:
		return 0
	}
}
