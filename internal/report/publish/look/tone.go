package look

import "github.com/ci-disagg/ci-disagg/internal/report/verdict"

// Tone is the class of a verdict on a page.
func Tone(w verdict.Word) string {
	switch w {
	case verdict.Pass, verdict.Improvement:
		return "good"
	case verdict.Regression:
		return "bad"
	default:
		return "doubt"
	}
}
