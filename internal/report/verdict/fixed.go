package verdict

// judgeFixed compares with a pinned value: red if worse by more than the
// tolerance, strictly. It knows nothing of noise.
func (j *judgement) judgeFixed() {
	pin := j.series.Pinned
	if pin == nil {
		j.Verdict = NoBaseline
		j.say("the rule fixed needs a pinned value and there is none: pin one, or use the rule bws")
		return
	}
	if why := badValue(pin.Value); why != "" {
		j.Verdict = NoBaseline
		j.say("the pinned value %v (%s) is %s: nothing can be compared with it", pin.Value, pin.Source, why)
		return
	}
	tolerance := j.fixed
	if badValue(pin.Tolerance) == "" {
		tolerance = pin.Tolerance
	}
	j.against(pin.Value)
	j.byThreshold(pin.Value, tolerance)
	from := ""
	if pin.Source != "" {
		from = " (" + pin.Source + ")"
	}
	j.say("%s is %s the pinned %s%s; up to %s worse is allowed",
		j.amount(j.value), percentWorse(*orZero(j.Worse)), j.amount(pin.Value), from, percent(tolerance))
}

// byThreshold gives the word of a rule that is only a percentage. Comparisons are strict: exactly at the limit is a
// pass. Such a rule keeps nothing open: a regression is new if the run before was none,
// or was one that decided nothing where this one does.
func (j *judgement) byThreshold(base, tolerance float64) {
	limit := base * (1 + j.sign*tolerance)
	j.Limit = number(limit)
	switch {
	case j.sign*(j.value-limit) > 0:
		n := len(j.past)
		j.Verdict, j.Alarm = Regression, n == 0 || j.past[n-1].Verdict != Regression || j.past[n-1].Shown && !j.Advisory
	case j.sign*(j.value-base*(1-j.sign*tolerance)) < 0:
		j.Verdict = Improvement
	default:
		j.Verdict = Pass
	}
}
