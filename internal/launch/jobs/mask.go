package jobs

import (
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Mask masks the secrets of plans: the values of those that they name, as far as they
// are to be had in this environment, and those of variables, here and in the plans,
// whose names look like secrets.
func Mask(env []string, plans ...rundir.Plan) *mask.Masker {
	values, _ := mask.Read(env, sources(plans))
	tokens := map[string]bool{"": true}
	for _, p := range plans {
		tokens[p.TokenEnv] = true // names an attempt's files
		for _, list := range [][]rundir.EnvVar{p.Env, p.Exports} {
			env = append(env[:len(env):len(env)], named(list)...)
		}
		for _, b := range p.Builds {
			env = append(env[:len(env):len(env)], named(b.Env)...)
			for _, r := range b.Roles {
				env = append(env[:len(env):len(env)], named(r.Env)...)
			}
		}
	}
	return mask.New(append(values, mask.FromEnv(env, func(name string) bool { return tokens[name] })...))
}

// Unmasked are the names of the plans' secrets whose values are not to be had in this
// environment: what of them stands in files cannot be found.
func Unmasked(env []string, plans ...rundir.Plan) []string {
	_, missing := mask.Read(env, sources(plans))
	return missing
}

// Maskable is an error that names a secret which is too short to be masked.
func Maskable(env []string, plans ...rundir.Plan) error { return mask.TooShort(env, sources(plans)) }

// sources are the plans' secrets, each once.
func sources(plans []rundir.Plan) []mask.Source {
	var out []mask.Source
	seen := map[rundir.Secret]bool{}
	for _, p := range plans {
		for _, s := range p.Secrets {
			if !seen[s] {
				seen[s] = true
				out = append(out, mask.Source(s))
			}
		}
	}
	return out
}

func named(list []rundir.EnvVar) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Name + "=" + e.Value
	}
	return out
}
