// Package runorder says which run of a job comes next.
//
// In: a plan's runs, how each of them ended, and the answers of the run's driver. Out:
// the next run, or that there is none and why. It is pure.
//
// A job without pairs does its runs one after the other. A paired session goes on until
// it is told to stop, and without being told to the last pair that there is: who decides
// replays the measurements. What the order knows by itself is what no measurement can
// change: a pair with a run that failed is measured again, as often as that is allowed,
// and what fails again and again is not tried for ever.
package runorder
