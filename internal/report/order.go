package report

import (
	"cmp"
	"strings"
)

// Natural compares names as people order them: GEN_2 before GEN_10.
func Natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		i, j := digits(x), digits(y)
		if i > 0 && j > 0 {
			m, n := strings.TrimLeft(x[:i], "0"), strings.TrimLeft(y[:j], "0")
			if c := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); c != 0 {
				return c
			}
			x, y = x[i:], y[j:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// RoleOrder sorts roles as a run starts its work: workers, router, client.
func RoleOrder(a, b string) int {
	return cmp.Or(cmp.Compare(roleRank(a), roleRank(b)), Natural(a, b))
}

func roleRank(role string) int {
	switch {
	case strings.HasSuffix(role, "_PRECHECK"):
		return 0
	case strings.HasPrefix(role, "CTX"):
		return 1
	case strings.HasPrefix(role, "GEN"):
		return 2
	case role == "DISAGG_SERVER":
		return 3
	case role == "BENCHMARK":
		return 4
	default:
		return 5
	}
}
