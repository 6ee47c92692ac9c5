package bench

// Score is what an accuracy run measured on one task with one filter.
type Score struct {
	Task     string  // gsm8k, …
	Filter   string  // flexible-extract, strict-match, none, …
	Metric   string  // exact_match, acc, …
	Value    float64 // in percent
	StdErr   float64 // in percent; 0 = not given
	N        int     // samples the run evaluated; 0 = not given
	LowerIs  bool    // a lower value is better
	Line     int
	FewShots int // -1 = not given
}
