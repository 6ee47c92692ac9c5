package baseline

import "errors"

// OpenDir opens a directory store.
func OpenDir(path string, create bool) (Store, error) {
	_ = create
	return nil, &UnavailableError{path, errors.New("not written yet")}
}
