// Package lastgreen finds the build of a branch's last green nightly run, to compare a change with where nothing names
// another.
//
// In: a store, the cases that are to be compared, and where the change left its branch. Out: the commit, the image and
// the checkout that the newest run recorded in which none of these cases was worse, or why there is none. What a store
// says is checked before it is handed on: it gets into commands.
package lastgreen
