//go:build race

package merge

// raceEnabled says that the race detector is on.
const raceEnabled = true
