// Package watch looks at the roles of a run from outside: what they publish, what
// their servers answer, which of their files grow, and whether the run's driver is
// still there.
//
// In: the roles, the run's directory, what the roles' own output has said. Out:
// facts with their times. It decides nothing.
package watch
