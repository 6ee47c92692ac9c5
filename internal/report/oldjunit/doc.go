// Package junit reads and writes JUnit XML. It has no policy: what a failed
// case means, and which of two cases with one name counts, is decided by
// package merge.
//
// In: any file that a test runner, a killed test runner or a web server's error
// page may leave behind. Out: a stream of suites and cases that holds
// everything the file says, and an account of what was wrong with the file.
// Memory is bounded by the largest single case, not by the file.
//
// The reader is joshdk/go-junit behind a guard. go-junit wants a whole,
// flawless document and drops test-case properties, all results but the last,
// reruns, and more; the guard cuts the bytes into test cases, repairs what can
// be repaired, hands bounded batches to go-junit and puts back what it drops. Cases
// with nothing inside but properties are not worth a parser: the cutting has
// read them already.
// The writer is encoding/xml over the types of jstemmer/go-junit-report,
// embedded in our own where they are too small.
package junit
