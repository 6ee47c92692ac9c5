package merge

import "strings"

// split gives the class and the name under which pytest reports a node id:
// perf/test_a.py::TestB::test_c[x/y::z] is perf.test_a.TestB and test_c[x/y::z].
func split(nodeID string) (class, name string) {
	path, param := nodeID, ""
	if i := strings.IndexByte(nodeID, '['); i >= 0 {
		path, param = nodeID[:i], nodeID[i:]
	}
	parts := strings.Split(path, "::")
	name = parts[len(parts)-1] + param
	file := strings.ReplaceAll(strings.TrimSuffix(parts[0], ".py"), "/", ".")
	if len(parts) == 1 {
		return file, name
	}
	return strings.Join(append([]string{file}, parts[1:len(parts)-1]...), "."), name
}

// sameTest reports whether a case of a result file is the test that a node id
// names. The class depends on the directory that pytest was started in, so one
// may be the end of the other; and where nothing else has that name, the name is
// enough.
func sameTest(nodeID, class, name string) bool {
	c, n := split(nodeID)
	return n == name && (c == class || strings.HasSuffix(c, "."+class) || strings.HasSuffix(class, "."+c))
}

// match is the index of the id that a case reports, -1 if none.
func match(ids []string, class, name string) int {
	byName := -1
	for i, id := range ids {
		if sameTest(id, class, name) {
			return i
		}
		if _, n := split(id); n == name {
			if byName >= 0 {
				byName = len(ids) // ambiguous
				continue
			}
			byName = i
		}
	}
	if byName >= len(ids) {
		return -1
	}
	return byName
}
