// Package scan reads what the roles of an attempt print.
//
// In: a log, in pieces as it passes or as a file, and the failure classes. Out: a
// State and the lines that may explain how it ended, within bounds however long
// the log is.
package scan
