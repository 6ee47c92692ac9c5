// Package mask takes the values of secrets out of text, before it is kept: out of
// streams while they are written, out of files when they are collected, and out of
// decoded text when it is read.
//
// In: the values, by name, and bytes. Out: the bytes with [masked] in the place of each
// value. A value is found as it is and in the forms that programs turn it into when they
// print it: escaped for XML, JSON and URLs, and in base64, wherever it begins in the
// encoded bytes. Nothing else is found: not a value in pieces, reversed, hashed or in
// another encoding. All forms of all values are looked for in one pass, in time linear in
// the bytes and in memory that depends on the values alone.
package mask
