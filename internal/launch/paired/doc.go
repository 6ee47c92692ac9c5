// Package paired plans paired sessions: the newer of two builds against the older, run
// after run in one job.
//
// In: the sections builds: and ab: of the config with the flags that stand over them, and
// the plans of a case, one made with each build. Out: one plan of both, with its runs, its
// time limit, and what it costs at most. What a session finds is not known here.
package paired
