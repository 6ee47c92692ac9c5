package bench

// Result is one benchmark point as one client measured it.
type Result struct {
	Format       string // trtllm-text, trtllm-json, vllm-text, …
	File         string
	Line         int    // where it begins, 1-based; 0 = not a line format
	Name         string // client or point name if the file says it
	Concurrency  int    // 0 = the file does not say
	Requested    *int64 // requests asked for; nil = the file does not say
	Completed    *int64
	Failed       *int64
	InputTokens  *int64
	OutputTokens *int64
	DurationS    *float64
	Samples      []Sample
	Problems     []Problem // what makes the point invalid: failure markers, truncated table, …
}

// Sample is one value of one metric.
type Sample struct {
	Metric string  // canonical name, see package metric
	Value  float64 // in the metric's unit
	Line   int     // 1-based; 0 = not a line format
}

// Problem is something in a file that forbids to trust the point.
type Problem struct {
	File string
	Line int
	Text string
}
