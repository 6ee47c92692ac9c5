package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// storeTimeout bounds everything that a verb asks of the baseline store.
const storeTimeout = 2 * time.Minute

// storeFlags are the flags by which a verb finds the baselines. The config's
// perf section is what they default to.
type storeFlags struct {
	config string
	store  string
	pins   string
}

// AddFlags registers the flags.
func (o *storeFlags) AddFlags(f *pflag.FlagSet) {
	addConfigFlag(f, &o.config, "config file")
	f.StringVar(&o.store, "store", "", "baseline store, dir:PATH or postgres://… (default $CI_DISAGG_STORE, else the config's)")
	f.StringVar(&o.pins, "pins", "", "file of pinned baselines (default the config's)")
}

// load reads the config and lays the flags over it.
func (o storeFlags) load(h host) (config, error) {
	cfg, err := loadConfig(h, o.config)
	if err != nil {
		return config{}, err
	}
	return o.over(h, cfg)
}

// over lays the flags over a config.
func (o storeFlags) over(h host, cfg config) (_ config, err error) {
	if baseline.HasPassword(o.store) {
		return config{}, usageErr(errors.New("--store: a password on a command line can be read by everyone on this host; put the URL into $CI_DISAGG_STORE, or the password into $PGPASSWORD or ~/.pgpass"))
	}
	wd, err := h.getwd()
	if err != nil {
		return config{}, err
	}
	if cfg.path == "" {
		cfg.path = filepath.Join(wd, defaultConfig) // what relative paths are relative to
	}
	if url := cmp.Or(absStore(h, o.store), envStore(h)); url != "" {
		cfg.Perf.Store = url
	}
	if o.pins != "" {
		if cfg.Perf.Pins, err = absPath(h, o.pins); err != nil {
			return config{}, err
		}
	}
	return cfg, nil
}

// envStore is the store that the environment names, which stands over the
// config's: a URL with a password belongs there and not into a file.
func envStore(h host) string { return absStore(h, h.getenv("CI_DISAGG_STORE")) }

// absStore makes a relative directory store absolute.
func absStore(h host, url string) string {
	dir, ok := strings.CutPrefix(url, "dir:")
	if !ok || dir == "" {
		return url
	}
	if abs, err := absPath(h, dir); err == nil {
		dir = abs
	}
	return "dir:" + dir
}

// pins reads the configured file of pins under the name by which a person here
// knows it.
func (c config) pins(h host, metrics metric.Table) (judging.Pins, error) {
	if c.Perf.Pins == "" {
		return judging.Pins{}, nil
	}
	if c.rules != nil && c.rules.Pins != "" {
		return judging.ParsePins(c.Perf.Pins, []byte(c.rules.Pins), metrics)
	}
	return judging.ReadPins(c.pinsFile(h), metrics)
}

func (c config) pinsFile(h host) string {
	path := c.Perf.Pins
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.path), path)
	}
	return shortPathHere(h, path)
}

// judging is what runs are judged with, but for the store.
func (c config) judging(h host) (judging.Setup, error) {
	metrics, err := c.metrics()
	if err != nil {
		return judging.Setup{}, usageErr(err)
	}
	pins, err := c.pins(h, metrics)
	return judging.Setup{Pins: pins, Policy: c.Perf.Policy, Metrics: metrics}, usageErr(err)
}

// openHistory opens the store at url, "" = none. One that cannot be reached makes
// verdicts, and no error.
func openHistory(ctx context.Context, setup *judging.Setup, url string, create bool) error {
	if url == "" {
		return nil
	}
	setup.Store, setup.StoreErr = baseline.Open(ctx, url, create)
	if setup.StoreErr != nil && !baseline.IsUnavailable(setup.StoreErr) {
		return setup.StoreErr
	}
	return nil
}

func closeHistory(setup judging.Setup) {
	if setup.Store != nil {
		_ = setup.Store.Close() // nothing is pending: every save has been waited for
	}
}
