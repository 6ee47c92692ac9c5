// Package judging judges measured runs against what is known of their past.
//
// In: a run as it will be stored, the baseline store, the pins, the policy. Out:
// one row per metric, the verdict on the case, and the record with its verdicts.
// It goes one way: history, then questions with the policy of each, then the rows
// of package verdict, then what the store or the pins add to them.
package judging
