// Package paired judges two builds that were measured in pairs: the same nodes,
// one allocation, A B | B A | A B | …, so that what the machine does to one run
// it does to its neighbour too.
//
// In: the pairs in the order they were measured, and a policy. Out: what to do
// next, and once the session has ended, its verdict. The package is pure, and
// the decision is a function of the pairs alone: the driver that waits for the
// next answer, a resumed session and a report of last month get the same one.
//
// The test compares likelihoods. The difference of a pair is Student t with four
// degrees of freedom around the true one; its scale is not known and is summed
// over, weighted around the noise of earlier sessions. The ratio of the
// likelihood of "worse" to that of "no change" is an e-value: whatever the moment
// of stopping, its chance to reach T without a change is at most 1/T. The mean of
// the e-values of a case's metrics is one too, however much they depend on each
// other (docs/facts/statistics.md#stopping-at-any-moment). docs/verdict.md has what it finds and how often it is wrong.
package paired
