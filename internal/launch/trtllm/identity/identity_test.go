package identity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/identity"
)

func TestRouter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, config string
		want         map[string]string
	}{
		{"nothing said", "worker_config: {}", map[string]string{}},
		{"an empty one", "router_config:\nctx_router_config: {}", map[string]string{}},
		{"in any order", "ctx_router_config: {type: kv_cache_aware, args: {max_batch_size: 64, a: [1, x]}}", map[string]string{"ctx_router": "args.a=[1 x],args.max_batch_size=64,type=kv_cache_aware"}},
		{"the same in another order", "ctx_router_config:\n  args:\n    a: [1, x]\n    max_batch_size: 64\n  type: kv_cache_aware\n", map[string]string{"ctx_router": "args.a=[1 x],args.max_batch_size=64,type=kv_cache_aware"}},
		{"all of them", "router_config: {type: round_robin}\ngen_router_config: {type: load_balancing}\nserver_config_extra: {schedule_style: generation_first}", map[string]string{
			"router": "type=round_robin", "gen_router": "type=load_balancing", "router_extra": "schedule_style=generation_first",
		}},
		{"one word", "router_config: round_robin", map[string]string{"router": "round_robin"}},
		{"by an anchor", "x: &r {type: round_robin}\nrouter_config: {<<: *r, n: 2}", map[string]string{"router": "n=2,type=round_robin"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := document.Read("config.yaml", []byte(tt.config))
			require.NoError(t, err)
			require.Equal(t, tt.want, identity.Router(d.Top()))
		})
	}
}
