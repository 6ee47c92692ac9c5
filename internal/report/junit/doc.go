// Package junit reads and writes JUnit XML. It has no policy: what a failed case
// means, and which of two cases with one name counts, is decided by its callers.
//
// In: any file that a test runner, a killed test runner or a web server's error page may leave behind. Out: a stream of
// cases and suites that holds everything the file says, and an account of what was wrong with the file. Memory is
// bounded by the largest single case, not by the file.
//
// All texts that Read gives are clean, see Clean, and writing and reading them again
// changes nothing. Two cases are the same test if suite, class and name are equal.
//
// # Packages of others
//
// github.com/joshdk/go-junit is the auditor: Audit reads a finished report with it, independently of the code here, and
// compares every case with what was decided. It reads no input: it loses properties, all results but the last, reruns,
// and the whole file at the first bad byte. github.com/jstemmer/go-junit-report/v2 lends the writer its Property, and
// package foreign its reader of 'go test'; nothing is encoded by it, as it writes malformed XML where a text holds what
// XML forbids.
package junit
