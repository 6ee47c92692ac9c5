// Package curate is what people do to the history that runs are judged against: they add, import and replay runs,
// accept a level, pin a value, take a run out, remove what is old.
//
// In: an open store with what its runs are judged with, and who wants what and why. Out: records that are stored, or,
// in a dry run, what would be. Errors carry the exit code of package exit.
package curate
