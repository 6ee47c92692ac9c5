// Package merge makes one JUnit report of what all roles of all cases left
// behind, so that Jenkins tells the truth: one bug is one red test plus one red
// place that says where.
//
// In: an Input: the cases in plan order, per attempt and role the process
// record and the result files; the blame finding; the metric verdicts. Out: a
// JUnit file, and a Summary of what it says. Output depends on the input's
// content only, never on the order of files or on the time of the merge.
//
// The suites:
//
//	<stage>               one case per logical test: did it pass as a whole?
//	<stage>.lifecycle     one case per role process: did it end as it should?
//	<stage>.roles.<ROLE>  the role's own pytest cases
//	<stage>.metrics       one case per metric: the performance verdict
package merge
