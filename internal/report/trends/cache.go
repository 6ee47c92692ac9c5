package trends

import (
	"compress/flate"
	"encoding/gob"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Cache is what was gathered the last time: a store grows by a night, not by a year.
type Cache struct {
	Version   int
	Store     string
	Since     time.Time
	Gathered  time.Time
	Newest    time.Time // begin of the newest run
	Histories []*History
}

// cacheVersion is that of the types above: another one is not read.
const cacheVersion = 2

// cacheFile is the name of the cache in the directory of the pages.
const cacheFile = ".trends.cache"

// fits reports whether what is known is of this store, reaches as far back, and is older than
// nothing that changed stored runs.
func (c *Cache) fits(store string, since, rewritten time.Time) bool {
	return c != nil && c.Version == cacheVersion && c.Store == store && !c.Since.After(since) && rewritten.Before(c.Gathered)
}

// ReadCache is what was gathered the last time for the pages in dir, nil = nothing, or nothing
// that can be used.
func ReadCache(dir string) *Cache {
	tree, err := rundir.OpenTree(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = tree.Close() }()
	f, err := tree.Open(filepath.Join(dir, cacheFile))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var c Cache
	if gob.NewDecoder(flate.NewReader(f)).Decode(&c) != nil {
		return nil // it is made anew
	}
	return &c
}

// Save keeps what was gathered beside the pages in dir.
func (g Gathered) Save(dir string, since, now time.Time) error {
	c := Cache{Version: cacheVersion, Store: g.Store, Since: since, Gathered: now}
	for _, h := range g.Histories {
		for _, n := range h.Nights {
			if n.Time.After(c.Newest) {
				c.Newest = n.Time
			}
		}
		bare := *h
		bare.Acts = nil // read anew each time
		c.Histories = append(c.Histories, &bare)
	}
	tree, err := rundir.OpenTree(dir)
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	return tree.WriteDerived(filepath.Join(dir, cacheFile), func(w io.Writer) error {
		out, err := flate.NewWriter(w, flate.BestSpeed)
		if err != nil {
			return err
		}
		return errors.Join(gob.NewEncoder(out).Encode(c), out.Close())
	})
}
