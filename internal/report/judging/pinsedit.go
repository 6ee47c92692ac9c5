package judging

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// SetPin is the text of a pins file with one entry added or replaced: a line of
// its own, so that comments, order and everything else stay as they are. data
// may be empty. The result is checked by reading it again.
func SetPin(file string, data []byte, caseID string, e PinEntry, table metric.Table) ([]byte, error) {
	if len(strings.TrimSpace(string(data))) == 0 {
		data = []byte("schema: " + strconv.Itoa(pinSchema) + "\ncases:\n")
	}
	before, err := ParsePins(file, data, table)
	if err != nil {
		return nil, err
	}
	out, err := setPinText(data, caseID, e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; edit it by hand", file, err)
	}
	after, err := ParsePins(file, out, table)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be changed without breaking it, edit it by hand: %w", file, err)
	}
	if err := sameBut(before, after, caseID, e); err != nil {
		return nil, fmt.Errorf("%s: %w; edit it by hand", file, err)
	}
	return out, nil
}

// sameBut reports whether after is before with exactly the one entry changed.
func sameBut(before, after Pins, caseID string, e PinEntry) error {
	list := func(p Pins, id string) []string {
		var out []string
		for _, x := range p.Cases[id] {
			if id == caseID && x.Metric == e.Metric && x.Point == e.Point {
				continue
			}
			x.Source = ""
			value := "none"
			if x.Value != nil {
				value = fmt.Sprint(*x.Value)
			}
			x.Value = nil
			out = append(out, fmt.Sprintf("%+v %s", x, value))
		}
		slices.Sort(out)
		return out
	}
	for id := range before.Cases {
		if !slices.Equal(list(before, id), list(after, id)) {
			return fmt.Errorf("setting %s would change other entries of case %s", e.Metric, id)
		}
	}
	for _, x := range after.Cases[caseID] {
		if x.Metric == e.Metric && x.Point == e.Point && maps.Equal(x.Match, e.Match) &&
			x.Value != nil && e.Value != nil && *x.Value == *e.Value && x.Tolerance == e.Tolerance {
			return nil
		}
	}
	return fmt.Errorf("setting %s did not take", e.Metric)
}

// setPinText edits the lines of the file.
func setPinText(data []byte, caseID string, e PinEntry) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(strings.TrimRight(string(data), "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]
	top := root.Content[0]
	_, cases := child(top, "cases")
	key := pinKey(e)
	if cases == nil || cases.Kind != yaml.MappingNode {
		casesKey, _ := child(top, "cases")
		if casesKey == nil {
			lines = append(lines, "cases:\n")
			return join(append(lines, "  "+quoted(caseID)+":\n", "    "+key+": "+e.flow()+"\n")), nil
		}
		return join(slices.Insert(lines, casesKey.Line, "  "+quoted(caseID)+":\n", "    "+key+": "+e.flow()+"\n")), nil
	}
	if cases.Style&yaml.FlowStyle != 0 {
		return nil, fmt.Errorf("cases is written in one line")
	}
	_, metrics := child(cases, caseID)
	indent := strings.Repeat(" ", cases.Column-1)
	if metrics == nil {
		end := lastLine(cases)
		return join(slices.Insert(lines, end, indent+quoted(caseID)+":\n", indent+"  "+key+": "+e.flow()+"\n")), nil
	}
	if metrics.Kind != yaml.MappingNode || metrics.Style&yaml.FlowStyle != 0 {
		return nil, fmt.Errorf("the entries of case %s are written in one line", caseID)
	}
	indent = strings.Repeat(" ", metrics.Column-1)
	line := indent + key + ": " + e.flow() + "\n"
	for i := 0; i+1 < len(metrics.Content); i += 2 {
		k, v := metrics.Content[i], metrics.Content[i+1]
		if k.Value != key && !samePinKey(k.Value, e) {
			continue
		}
		if v.Kind == yaml.SequenceNode {
			return nil, fmt.Errorf("%s of case %s has a list of entries", key, caseID)
		}
		return join(slices.Replace(lines, k.Line-1, max(k.Line, lastLine(v)), line)), nil
	}
	return join(slices.Insert(lines, lastLine(metrics), line)), nil
}

func join(lines []string) []byte { return []byte(strings.Join(lines, "")) }

func child(n *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// lastLine is the last line that a node reaches, as far as nodes tell.
func lastLine(n *yaml.Node) int {
	last := n.Line + strings.Count(n.Value, "\n")
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

func pinKey(e PinEntry) string {
	if e.Point != "" {
		return quoted(e.Point + "/" + e.Metric)
	}
	return e.Metric
}

// samePinKey compares with a key that spells the metric another way.
func samePinKey(key string, e PinEntry) bool {
	point, name := "", key
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		point, name = key[:i], key[i+1:]
	}
	return point == e.Point && name == e.Metric
}

// flow is the entry on one line.
func (e PinEntry) flow() string {
	var parts []string
	add := func(k, v string) { parts = append(parts, k+": "+v) }
	if e.Value != nil {
		add("value", strconv.FormatFloat(*e.Value, 'g', -1, 64))
	}
	if e.Tolerance > 0 {
		add("tolerance", strconv.FormatFloat(e.Tolerance, 'g', -1, 64))
	}
	if len(e.Match) > 0 {
		var pairs []string
		for _, k := range slices.Sorted(maps.Keys(e.Match)) {
			pairs = append(pairs, quoted(k)+": "+quoted(e.Match[k]))
		}
		add("match", "{"+strings.Join(pairs, ", ")+"}")
	}
	for _, kv := range [][2]string{{"by", e.By}, {"at", e.At}, {"why", e.Why}} {
		if kv[1] != "" {
			add(kv[0], quoted(kv[1]))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// quoted is s as a YAML scalar that is read back as this text: plain where that
// is surely safe, else in double quotes, which JSON's escapes suit.
func quoted(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/.") == "" &&
		(s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z') &&
		!slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(s))
	if plain {
		return s
	}
	return strconv.QuoteToGraphic(s)
}
