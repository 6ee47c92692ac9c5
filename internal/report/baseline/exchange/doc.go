// Package exchange brings records from one store to another, and from other tools' databases.
//
// In: NDJSON of our own, documents and files of upstream's database. Out: Records, and
// which of them a store does not have yet.
package exchange
