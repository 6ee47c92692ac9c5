package main

import (
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
)

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
	given, err := givenHere(h)
	if err != nil {
		return config{}, err
	}
	given.Store, given.Pins = o.store, o.pins
	return cfg.With(given)
}

// givenHere is what the environment says in place of the config.
func givenHere(h host) (configfile.Given, error) {
	wd, err := h.getwd()
	return configfile.Given{WorkDir: wd, Getenv: h.getenv}, err
}

// judgingHere is what runs are judged with, but for the store. The file of pins has the
// name by which a person here knows it.
func judgingHere(h host, cfg config) (judging.Setup, error) {
	wd, err := h.getwd()
	if err != nil {
		return judging.Setup{}, err
	}
	return cfg.Judging(h.readFile, cfg.PinsName(wd))
}
