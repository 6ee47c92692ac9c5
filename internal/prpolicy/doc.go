// Package prpolicy has a run judged by rules that are not its own: those of a pull request come from where it left its
// branch.
//
// In: the run's own config, the commit at which its branch was left, or what a person names. Out: the text of the
// config that holds the rules, the own config with those rules in it, and each key in which the two differ. Which keys
// are rules is said where they are declared, by the tag policy:"base"; with policy:"named" the entries of a list are
// rules by their name, and further ones are the run's own.
package prpolicy
