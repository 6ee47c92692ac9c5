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
	head
	Histories []*History
}

// head is what a cache begins with. The histories follow one by one: as one value they would be in memory twice.
type head struct {
	Version  int
	Store    string
	Since    time.Time
	Gathered time.Time
	Newest   time.Time // begin of the newest run
	Count    int       // of histories
}

// cacheVersion is that of the types above: another one is not read.
const cacheVersion = 4

// cacheFile is the name of the cache in the directory of the pages.
const cacheFile = ".trends.cache"

// fits reports whether what is known is of this store, reaches as far back, and is older than
// nothing that changed stored runs.
func (c *Cache) fits(store string, since, rewritten time.Time) bool {
	return c != nil && c.Store == store && !c.Since.After(since) && rewritten.Before(c.Gathered)
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
	c, err := decode(gob.NewDecoder(flate.NewReader(f)))
	if err != nil {
		return nil // it is made anew
	}
	return c
}

// decode reads a cache: its head, and as many histories as that says, each by itself.
func decode(in *gob.Decoder) (*Cache, error) {
	var c Cache
	if err := in.Decode(&c.head); err != nil {
		return nil, err
	}
	if c.Version != cacheVersion {
		return nil, errors.New("a cache of another version")
	}
	words := texts{}
	for range c.Count {
		var h History
		if err := in.Decode(&h); err != nil {
			return nil, err
		}
		nights := h.Nights
		h.Nights = make([]Night, 0, len(nights)+1)
		for _, n := range nights {
			h.append(n, words)
		}
		c.Histories = append(c.Histories, &h)
	}
	return &c, nil
}

// Save keeps what was gathered beside the pages in dir.
func (g Gathered) Save(dir string, since, now time.Time) error {
	c := head{Version: cacheVersion, Store: g.Store, Since: since, Gathered: now, Count: len(g.Histories)}
	for _, h := range g.Histories {
		for _, n := range h.Nights {
			if n.Time.After(c.Newest) {
				c.Newest = n.Time
			}
		}
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
		return errors.Join(encode(gob.NewEncoder(out), c, g.Histories), out.Close())
	})
}

// encode is the other way of decode.
func encode(out *gob.Encoder, c head, histories []*History) error {
	if err := out.Encode(c); err != nil {
		return err
	}
	for _, h := range histories {
		bare := *h
		bare.Acts = nil // read anew each time
		if err := out.Encode(bare); err != nil {
			return err
		}
	}
	return nil
}
