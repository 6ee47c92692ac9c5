// Package metric is the one table of metrics: canonical name, unit, direction,
// default gate and minimum relevant effect, and the names under which the
// benchmark clients and upstream's database know each of them.
//
// A metric without a direction cannot exist here: "worse" is always defined.
package metric
