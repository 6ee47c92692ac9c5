package baseline

import (
	"context"
	"errors"
)

// OpenPostgres opens a PostgreSQL store.
func OpenPostgres(_ context.Context, url string, create bool) (Store, error) {
	_, _ = create, url
	return nil, &UnavailableError{"postgres", errors.New("not written yet")}
}
