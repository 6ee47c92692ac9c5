package owners_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

func TestOf(t *testing.T) {
	t.Parallel()
	o := owners.Owners{"*": "@perf", "deepseek*": "@moe", "deepseek-r1*": "@r1", "perf/test_x.py::t[a-*]": "@a"}
	for id, want := range map[string]string{
		"llama-8b": "@perf", "deepseek-v3": "@moe", "deepseek-r1-fp4": "@r1", "perf/test_x.py::t[a-1/2]": "@a", "perf/test_x.py::t[b-1]": "@perf",
	} {
		require.Equal(t, want, o.Of(id), id)
	}
	require.Empty(t, owners.Owners{"x*": "@x"}.Of("y"))
	require.Empty(t, owners.Owners(nil).Of("y"))
}

func TestValidate(t *testing.T) {
	t.Parallel()
	var c struct {
		Owners owners.Owners `yaml:"owners"`
	}
	doc, err := strictyaml.Read("c.yaml", []byte("owners:\n  \"a*\": \"\"\n  'b\\': \"@b\"\n  \"c\": \"@c\"\n"), &c)
	require.NoError(t, err)
	errs := c.Owners.Validate(doc)
	require.Len(t, errs, 2)
	require.ErrorContains(t, errs[0], `c.yaml:2`)
	require.ErrorContains(t, errs[1], "is no glob of case ids")
}
