package mergeinputs

import (
	"errors"
	"fmt"
	"slices"
)

// The orders in which results of several files can be attempts of one test. "" = they are none.
const (
	RerunsByTime  = "time"
	RerunsAsNamed = "named"
)

// CheckReruns says what keeps results of several files from being attempts in an order: a directory or a glob names
// files in none.
func CheckReruns(order string, noFold bool, args []string) (errs []error) {
	if !slices.Contains([]string{"", RerunsByTime, RerunsAsNamed}, order) {
		errs = append(errs, fmt.Errorf("merge: --fold-reruns-between-files=%s: use time or named", order))
	}
	if noFold && order != "" {
		errs = append(errs, errors.New("merge: --no-fold does not go with --fold-reruns-between-files"))
	}
	for _, arg := range args {
		if order == RerunsAsNamed && !NamesOne(arg) {
			errs = append(errs, fmt.Errorf("merge: --fold-reruns-between-files=named: %s names files in no order: name each", arg))
		}
	}
	return errs
}
