// Package answers tells the agents of paired sessions how to go on.
//
// In: what is seen of the agents while a run is driven. Out: one file per measured pair,
// where the agent looks for it. What to answer is not decided here. Behind a login node
// the runs that have ended are fetched first, and the answer is brought there.
package answers
