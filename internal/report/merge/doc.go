// Package merge makes one JUnit report of many JUnit files: the verb 'merge'. What it
// promises, such as what is one test and what is folded, is docs/merge.md.
//
// It makes two passes over its inputs, which are their own spool. The first keeps
// of each case where it stands and what identifies it, less than 100 bytes;
// folding, order and totals come from that. The second copies the bytes of the
// cases that are written. Only cases of which something has to be changed, and
// those of one name that become one, become values; what the latter come to is decided
// once, by the value, and kept in the spool. An input that changes between the passes is
// an error.
package merge
