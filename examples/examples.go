// Package examples is the configs of this folder, from which 'ci-disagg init' writes a first one.
package examples

import "embed"

// Files are the configs, one for each pipeline: redis.yaml.
//
//go:embed *.yaml
var Files embed.FS
