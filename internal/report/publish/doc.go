// Package publish turns the one document of a run, verdict.json, into what
// people read: the console summary, summary.md and the HTML report.
//
// In: a Document. Out: files in report/. Nothing else is read: whatever a
// person sees can be traced to verdict.json.
package publish
