// Package merge makes one JUnit report of many JUnit files: the verb 'merge'.
//
// It makes two passes over its inputs, which are their own spool. The first keeps
// of each case where it stands and what identifies it, less than 100 bytes;
// folding, order and totals come from that. The second copies the bytes of the
// cases that are written. Only cases of which something has to be changed, and
// those of one name that become one, become values; what the latter come to is decided
// once, by the value, and kept in the spool. An input that changes between the passes is
// an error.
//
// # What is one test
//
// Suites of one name, package and outer suites become one. Two cases are the same
// test if suite, class and name are equal after cleaning (see package junit); a
// case without class gets the one that Jenkins gives it. In a file that no pytest
// wrote, cases of one name are different tests and stay apart, the n-th of one
// file is the same test as the n-th of another.
//
// # Folding
//
// The same test in several files, documents or suites was run several times, and
// the worst result counts: such cases are never attempts of each other, unless
// Options.FoldReruns says that a later file repeats what an earlier one left red.
//
// Within one suite of pytest, cases of one name are the call and its teardown, or
// attempts of pytest-rerunfailures, or runs that all count (--dist each). Which of
// them is decided by the suite's own count. It counts each name once: they are
// attempts, the last counts, and earlier ones become rerun elements. It counts
// all: the worst counts. It fits neither, or is not there: the worse of both
// readings counts. So a failure followed by a pass is red unless the surplus of
// cases over the suite's count explains it as a rerun.
//
// # Evidence
//
// A suite or file that declares failures or errors and shows none of them, or
// declares tests and holds none, is red; so is a file that cannot be read to its
// end, and, unless Options.Empty says otherwise, one without any case.
package merge
