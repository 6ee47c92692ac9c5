// Package merge makes one JUnit report of many JUnit files: the verb 'merge'. What it
// promises, such as what is one test and what is folded, is docs/merge.md.
//
// It reads its inputs once. Each case goes into the spool, with the names that it has in the report, and in memory
// stays where it stands there and what identifies it, less than 100 bytes; folding, order and totals come from that.
// Then the bytes of the cases are copied. Only cases of which something has to be changed, and those of one name that
// become one, become values; what the latter come to is decided once, by the value, and kept in the spool, too.
package merge
