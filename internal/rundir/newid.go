package rundir

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// NewID is an id for a run that nobody named: its time and a random part.
func NewID(now time.Time) string {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b)
}
