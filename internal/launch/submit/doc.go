// Package submit makes the files of an attempt and hands it to its backend.
//
// In: what is to be run, the nodes to keep away from, and whether it may still be
// submitted. Out: the attempt directory, here and where the job sees it, and the
// job's record with name, id and exclusions. The intent is on disk before the
// submission, so that a job whose id never arrived is found by its name.
package submit
