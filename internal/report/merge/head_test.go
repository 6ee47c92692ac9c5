package merge

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Hosts that say the same share their sets: what is kept grows with the hosts, not with hosts times properties.
func TestPropertiesOfManyHosts(t *testing.T) {
	t.Parallel()
	const hosts, each = 100, 200
	var p properties
	var names []string
	for h := range hosts {
		host := fmt.Sprintf("node%03d", h)
		names = append(names, host)
		for range 2 { // two suites
			var more []junit.Property
			for i := range each {
				more = append(more, junit.Property{Name: fmt.Sprintf("p%d", i), Value: "same"})
			}
			if h < 3 {
				more = append(more, junit.Property{Name: "few", Value: "some"})
			}
			p.add(host, more)
		}
	}
	require.LessOrEqual(t, len(p.hosts), 2*hosts)
	require.Len(t, p.known, len(p.hosts))
	marked := p.marked(names)
	require.Len(t, marked, each+3)
	require.Equal(t, junit.Property{Name: "p0", Value: "same"}, marked[0])
	require.Equal(t, "few@node000", marked[each].Name)
	require.Equal(t, "few@node002", marked[each+2].Name)
}
