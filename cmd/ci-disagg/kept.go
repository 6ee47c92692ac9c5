package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a run was made from is kept in its directory, so that resume and report
// need nothing else, also where the directory was copied to.
const (
	configCopy   = "ci-disagg.yaml"
	configOrigin = configCopy + ".origin" // where the config was read from
	pinsCopy     = "pins.yaml"
	draftCopy    = "draft.sh"
)

// keptLimit bounds what of it is read, in bytes.
const keptLimit = 16 << 20

// toKeep is what the run was made from, for its directory.
func toKeep(h host, cfg config, draftName string, draft []byte) ([]rundir.File, error) {
	var files []rundir.File
	keep := func(name string, data []byte) {
		files = append(files, rundir.File{Path: name, Data: data, Mode: rundir.FileMode})
	}
	if cfg.path != "" {
		keep(configCopy, cfg.raw)
		keep(configOrigin, []byte(cfg.path+"\n"))
	}
	if cfg.rules != nil {
		text, err := json.Marshal(cfg.rules)
		if err != nil {
			return nil, err
		}
		keep(rulesCopy, text)
	}
	if path := pinsPath(cfg); path != "" {
		pins, err := h.readFile(path)
		if err != nil {
			return nil, usageErr(err)
		}
		keep(pinsCopy, pins)
	}
	if draftName != "" {
		keep(draftCopy, draft)
	}
	return files, nil
}

// keptConfig is the config that a run directory was made with. Relative paths in
// it are still relative to where it was read from first.
func keptConfig(dir rundir.Dir) (config, error) {
	tree, err := dir.Tree()
	if err != nil {
		return config{}, err
	}
	defer func() { _ = tree.Close() }()
	path := filepath.Join(string(dir), configCopy)
	data, err := tree.ReadFile(path, keptLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, nil
	}
	if err != nil {
		return config{}, err
	}
	cfg, err := parseConfig(path, data)
	cfg.path, cfg.keptIn = path, dir
	if origin, readErr := tree.ReadFile(filepath.Join(string(dir), configOrigin), keptLimit); readErr == nil {
		cfg.path = strings.TrimSpace(string(origin))
	}
	return cfg, errors.Join(err, cfg.keptRules(tree))
}

// pinsPath is the file of pinned baselines, "" when there is none. Of a kept
// config it is the live file, so that a later pin counts, and the run's own copy
// where the live one is not to be had.
func pinsPath(cfg config) string {
	path := cfg.Perf.Pins
	if path == "" || cfg.rules != nil && cfg.rules.Pins != "" {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(cfg.path), path)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && cfg.keptIn != "" {
		return filepath.Join(string(cfg.keptIn), pinsCopy)
	}
	return path
}
