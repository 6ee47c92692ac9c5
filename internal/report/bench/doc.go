// Package bench reads what benchmark clients leave behind: text tables, JSON, JSON lines, CSV, logs of iterations. Each
// reader recognises its format by content.
//
// In: a stream and its file name. Out: Results, one per benchmark point, with canonical metrics; or an error with file
// and line. A number that is not there is not in the result: nothing is guessed, nothing defaults to zero.
package bench
