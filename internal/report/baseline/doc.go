// Package baseline keeps the history of measurements.
//
// In: Records, one per run and case, from `ci-disagg run`, `judge`, people and
// imports. Out: the runs of a series in order, and the same Records as NDJSON. A store is a directory of small JSON
// files (dir:PATH) or a PostgreSQL database (postgres://…); both keep the same promises
// and pass the same tests.
//
// A store that cannot be reached is an UnavailableError, never an empty history:
// without history nothing is green.
package baseline
