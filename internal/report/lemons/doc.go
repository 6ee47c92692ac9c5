// Package lemons finds cards and nodes that are slower than their peers, over many runs and cases.
//
// In: records of a baseline store. Out: which units are slow, by how much, and how
// sure that is. A unit is a card where its id is known, else a node.
package lemons
