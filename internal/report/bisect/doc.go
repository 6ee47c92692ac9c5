// Package bisect finds the commit that made a case slower, by measurements that are not certain.
//
// In: the commits between a good and a bad one, the pairs that each measurement gave (a commit against the good one),
// and a function that makes one. Out: which commit to measure next, how likely each is to be the one, what the search
// is expected to cost, and its record in a directory, from which it goes on.
//
// Every measurement changes how likely each commit is, by the likelihood of its pairs under "slower" and "not": nothing
// is decided by one of them, and a commit is measured again where that tells the most. The next is the one that divides
// what is likely into halves (docs/bisect.md).
package bisect
