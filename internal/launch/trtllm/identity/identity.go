// Package identity says which settings of a config of TensorRT-LLM's identify a
// series: those of its benchmark clients, and those of its router.
//
// In: sections of a config. Out: names and values, for the plan's match values.
package identity

import (
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
)

// Client are the settings that change what a benchmark client measures, by the names
// that identify a series: several clients of one server have each value once.
type Client map[string]string

// Read takes the settings of one client. Both schemas are known; what is off, the
// default, and what is not there are the same.
func (s Client) Read(c document.Section) {
	for key, name := range map[string]string{
		"isl": "isl", "input_length": "isl", "osl": "osl", "output_length": "osl", "iterations": "iterations", "multi_round": "iterations",
		"random_range_ratio": "range_ratio", "benchmark_ratio": "range_ratio", "backend": "backend", "dataset_file": "dataset",
		"streaming": "streaming", "use_chat_template": "chat_template", "use_nv_sa_benchmark": "nv_sa_benchmark", "benchmark_client": "kind",
	} {
		if !c.Has(key) || !c.Scalar(key) {
			continue
		}
		v := c.Text(key)
		if document.Placeholder(v) || strings.EqualFold(v, "false") || v == map[string]string{"isl": "1024", "osl": "1024", "iterations": "1"}[name] {
			continue
		}
		all := strings.Split(s[name], ",")
		if s[name] == "" {
			all = nil
		}
		if !slices.Contains(all, v) {
			s[name] = strings.Join(append(all, v), ",")
		}
	}
}

// Router are the settings of the server in front of the others, which decide who
// answers what: a config with other ones measures something else.
func Router(top document.Section) map[string]string {
	out := map[string]string{}
	for key, name := range map[string]string{
		"router_config": "router", "ctx_router_config": "ctx_router", "gen_router_config": "gen_router", "server_config_extra": "router_extra",
	} {
		if v := top.Flat(key); v != "" {
			out[name] = v
		}
	}
	return out
}
