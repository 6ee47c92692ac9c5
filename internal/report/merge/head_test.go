package merge

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// What is kept of which host said what is at most a number for each time.
func TestPropertiesOfManyHosts(t *testing.T) {
	t.Parallel()
	const hosts, each = 100, 200
	var p properties
	for h := range hosts {
		host := fmt.Sprintf("node%03d", h)
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
	require.Len(t, p.hosts, hosts)
	require.Len(t, p.more[0], hosts-1)
	marked := p.marked()
	require.Len(t, marked, each+3)
	require.Equal(t, junit.Property{Name: "p0", Value: "same"}, marked[0])
	require.Equal(t, "few@node000", marked[each].Name)
	require.Equal(t, "few@node002", marked[each+2].Name)
}
