package pipeline

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// WriteTable prints the document for people: one line per case, then the settings, then each case. What most cases
// have in common stands once, before them. wd is the directory in which people are: what lies there is named as they
// would type it.
func (d Document) WriteTable(w io.Writer, wd string) {
	doc := d.shortened(strings.TrimSuffix(wd, "/") + "/")
	where := "backend " + doc.Backend
	if doc.Cluster != "" {
		where += ", cluster " + doc.Cluster
	}
	fmt.Fprintf(w, "%s, stage %s, %s\n\n", plain.Count(len(doc.Cases), "case"), doc.Stage, where)
	overview(w, doc.Cases)
	fmt.Fprintf(w, "\n")
	var t table.Table
	t.Add("   setting", "from", "value")
	for _, s := range doc.Settings {
		t.Add("   "+s.Key, s.From, plain.Words(s.Value)) // the value last: it may be long
	}
	_ = t.Write(w)
	blocks := make([][]tableRow, len(doc.Cases))
	for i, c := range doc.Cases {
		blocks[i] = caseRows(c)
	}
	common := shared(blocks)
	if len(common) > 0 {
		fmt.Fprintf(w, "\nin every case that does not say otherwise\n")
		printRows(w, common)
	}
	for i, c := range doc.Cases {
		fmt.Fprintf(w, "\n%d. %s\n", i+1, c.Case.ID)
		printRows(w, slices.DeleteFunc(blocks[i], func(r tableRow) bool { return slices.Contains(common, r) }))
	}
}

// shortened is the document with paths below dir relative to it.
func (d Document) shortened(dir string) Document {
	doc := d
	short := func(s string) string { return strings.ReplaceAll(s, dir, "") }
	doc.Settings, doc.Cases = slices.Clone(doc.Settings), slices.Clone(doc.Cases)
	for i, s := range doc.Settings {
		doc.Settings[i].Value = short(s.Value)
	}
	for i, c := range doc.Cases {
		c.Case.Source, c.Case.Config, c.Baseline = short(c.Case.Source), short(c.Case.Config), short(c.Baseline)
		c.Warnings = slices.Clone(c.Warnings)
		for j, v := range c.Warnings {
			if c.Warnings[j] = short(v); c.Case.Config != "" {
				c.Warnings[j] = strings.Replace(c.Warnings[j], c.Case.Config+":", "config:", 1)
			}
		}
		doc.Cases[i] = c
	}
	return doc
}

// overview has one line per case and their sum.
func overview(w io.Writer, cases []Case) {
	var t table.Table
	t.Add("#", "mode", "servers x GPUs", "nodes", "GPUs", "idle", "time", "points", "warn", "case")
	jobs, nodes, gpus, idle, most := 0, 0, 0, 0, 0
	for i, c := range cases {
		if c.Case.SkipReason != "" {
			t.Add(fmt.Sprint(i+1), "SKIPPED", "-", "-", "-", "-", "-", "-", "-", rundir.ShortID(c.Case.ID))
			continue
		}
		free := c.AllocatedGPUs - c.UsedGPUs
		jobs, nodes, gpus, idle, most = jobs+1, nodes+c.Nodes, gpus+c.AllocatedGPUs, idle+free, max(most, c.Nodes)
		t.Add(fmt.Sprint(i+1), modeNote(c), servers(c.Plan), fmt.Sprint(c.Nodes), fmt.Sprint(c.AllocatedGPUs), fmt.Sprint(free),
			c.Budgets.Job.Short(), fmt.Sprint(len(c.Expected.Points)), fmt.Sprint(len(c.Warnings)), rundir.ShortID(c.Case.ID))
	}
	_ = t.Write(w)
	fmt.Fprintf(w, "total: %s, %s in all, at most %d in one job; %s, %d of them idle\n", plain.Count(jobs, "job"), plain.Count(nodes, "node"), most, plain.Count(gpus, "GPU"), idle)
}

// modeNote is the mode and what a reviewer must not overlook.
func modeNote(c Case) string {
	out := c.Case.Mode
	if c.Case.KnownBug != "" {
		out += ", known failure"
	}
	if c.Check != nil && !c.Check.OK {
		out += ", REFUSED"
	}
	return out
}

// servers is how many servers of how many GPUs a case has: prefill 2x4 decode 1x16.
func servers(p rundir.Plan) string {
	number, gpus := map[string]int{}, map[string]int{}
	var out []string
	for _, r := range rundir.InOrderShown(p.MainRoles()) {
		if r.GPUs() == 0 {
			continue
		}
		if number[r.Group]++; number[r.Group] == 1 {
			out = append(out, r.Group)
		}
		gpus[r.Group] = r.GPUs()
	}
	for i, group := range out {
		out[i] = fmt.Sprintf("%s %dx%d", group, number[group], gpus[group])
	}
	return strings.Join(out, " ")
}

// tableRow is one line of a case's block.
type tableRow struct{ key, about, text string }

// roleRow is the key of the table of roles, whose text is whole lines.
const roleRow = "roles"

func printRows(w io.Writer, rows []tableRow) {
	for _, r := range rows {
		if r.key == roleRow {
			fmt.Fprint(w, r.text)
			continue
		}
		fmt.Fprintf(w, "   %-9s %s\n", r.key, r.text)
	}
}

// group is what a row says something about, where one row can stand for several
// cases: a case that has another one says otherwise. A case without environment
// could not say so.
func (r tableRow) group() (string, bool) {
	switch r.key {
	case "budgets", "baseline", "launch":
		return r.key, true
	case "command":
		return r.key + r.about, true
	}
	return "", false
}

// rank keeps the commands together.
func rank(r tableRow) int {
	if r.key == "command" {
		return 0
	}
	return 1
}

// shared are the rows that more than half of the cases with such a row have.
func shared(blocks [][]tableRow) []tableRow {
	having, with := map[tableRow]int{}, map[string]int{}
	var order []tableRow
	for _, rows := range blocks {
		for _, r := range rows {
			if group, ok := r.group(); ok {
				if having[r] == 0 {
					order = append(order, r)
				}
				having[r]++
				with[group]++
			}
		}
	}
	slices.SortStableFunc(order, func(a, b tableRow) int { return cmp.Compare(rank(a), rank(b)) })
	return slices.DeleteFunc(order, func(r tableRow) bool {
		group, _ := r.group()
		return having[r] < 2 || 2*having[r] <= with[group]
	})
}

// caseRows is the block of one case.
func caseRows(c Case) []tableRow {
	var rows []tableRow
	row := func(key, format string, args ...any) {
		rows = append(rows, tableRow{key: key, text: fmt.Sprintf(format, args...)})
	}
	row("listed", "%s%s", c.Case.Source, annotations(c.Case))
	if c.Case.SkipReason != "" {
		row("SKIPPED", "%s", c.Case.SkipReason)
		return rows
	}
	if c.Case.KnownBug != "" {
		row("known", "failure %s: does not turn the run red", c.Case.KnownBug)
	}
	if c.Case.Pipeline != "" {
		row("pipeline", "%s%s", c.Case.Pipeline, variables(c.Case))
	} else {
		row("mode", "%s%s", c.Case.Mode, server(c.Case))
		row("config", "%s (sha256 %.12s)", c.Case.Config, c.Case.ConfigSHA)
	}
	kind := "GPUs"
	if c.MakeBelieve {
		kind = "make-believe GPUs"
	}
	if c.GPUsPerNode == 0 {
		row("nodes", "%d, without GPUs", c.Nodes)
	} else {
		row("nodes", "%d x %d %s: %d allocated, %d used, %d idle", c.Nodes, c.GPUsPerNode, kind, c.AllocatedGPUs, c.UsedGPUs, c.AllocatedGPUs-c.UsedGPUs)
	}
	if len(c.Avoid) > 0 {
		row("avoids", "%s, as far as enough other nodes are left", strings.Join(c.Avoid, ", "))
	}
	if c.Draft {
		row("launch", "by the draft, not by the agent: what it starts and where is its own; below is what its exports say")
	}
	if c.Case.Pipeline != "" {
		row(roleRow, "%s", pipelineTable(c.Plan))
	} else {
		row(roleRow, "%s", roleTable(c.Plan))
	}
	rows = append(rows, commands(c.Plan)...)
	row("budgets", "%s", budgetsInForce(c.Plan))
	sessionRows(row, c.Plan)
	row("expected", "%s", expected(c.Plan))
	row("baseline", "%s", c.Baseline)
	for _, v := range c.Warnings {
		row("warning", "%s", v)
	}
	if c.Check != nil {
		word := "refused"
		if c.Check.OK {
			word = "accepted"
		}
		row("check", "%s: %s", word, plain.Words(c.Check.Answer))
	}
	return rows
}

// annotations are what the list says behind the id.
func annotations(c rundir.Case) string {
	var out string
	if c.Timeout > 0 {
		out += ", TIMEOUT " + c.Timeout.Short()
	}
	if c.Isolation {
		out += ", ISOLATION"
	}
	return out
}

func server(c rundir.Case) string {
	if c.Server == "" {
		return ""
	}
	return ", servers " + c.Server
}

// roleTable has one line for each run of roles that are alike.
func roleTable(p rundir.Plan) string {
	var b strings.Builder
	var t table.Table
	t.Add("   role", "tasks", "GPUs", "nodes (tasks on each)", "mpi")
	roles := p.Roles()
	for i := 0; i < len(roles); {
		r, j := roles[i], i+1
		names := []string{r.Name}
		all := rundir.RolePlan{Slice: slices.Clone(r.Slice)}
		for ; j < len(roles) && alike(r, roles[j]); j++ {
			names = append(names, roles[j].Name)
			all.Slice = append(all.Slice, roles[j].Slice...)
		}
		t.Add("   "+roleList(names), each(len(names), r.Tasks()), each(len(names), r.GPUs()), nodeRanges(all), cmp.Or(r.MPI, "-"))
		i = j
	}
	_ = t.Write(&b)
	return b.String()
}

func alike(a, b rundir.RolePlan) bool {
	return a.Kind == b.Kind && a.MPI == b.MPI && !a.Overlap && a.Tasks() == b.Tasks() && a.GPUs() == b.GPUs() && len(a.Slice) == len(b.Slice)
}

func each(n, value int) string {
	if n == 1 {
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("%d x %d", n, value)
}

// nodeRanges writes a slice as node numbers with the tasks on each: 0-7 (4),
// or 0 (4), 1 (2).
func nodeRanges(r rundir.RolePlan) string {
	var parts []string
	for i := 0; i < len(r.Slice); {
		j := i
		for j+1 < len(r.Slice) && r.Slice[j+1].Tasks == r.Slice[i].Tasks && r.Slice[j+1].Node == r.Slice[j].Node+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprintf("%d (%d)", r.Slice[i].Node, r.Slice[i].Tasks))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d (%d)", r.Slice[i].Node, r.Slice[j].Node, r.Slice[i].Tasks))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// commands shows each distinct command once, with the kinds of roles that run it,
// and each distinct environment.
func commands(p rundir.Plan) (rows []tableRow) {
	type line struct {
		key, text string
		kinds     []string
	}
	var lines []*line
	add := func(key, text, kind string) {
		i := slices.IndexFunc(lines, func(l *line) bool { return l.key == key && l.text == text })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{key: key, text: text})
		}
		if !slices.Contains(lines[i].kinds, kind) {
			lines[i].kinds = append(lines[i].kinds, kind)
		}
	}
	for _, r := range p.Roles() {
		kind, _, numbered := number(r.Name)
		if !numbered {
			kind = r.Name
		}
		if p.Case.Pipeline != "" {
			add("command", inLines(r.Command), r.Group)
		} else {
			add("command", abridge(r.Command, p.Case.ID), kind)
		}
		var env []string
		for _, e := range r.Env {
			if e.Name != roleVariable {
				env = append(env, e.Name+"="+plain.Words(e.Value))
			}
		}
		if env != nil {
			add("env", strings.Join(env, " "), kind)
		}
	}
	slices.SortStableFunc(lines, func(a, b *line) int { return strings.Compare(a.key, b.key) })
	for _, l := range lines {
		about := strings.Join(l.kinds, ", ")
		rows = append(rows, tableRow{l.key, about, about + ": " + l.text})
	}
	return rows
}

// abridge shortens what is the same in every command. The exact text is in the
// JSON and in --script.
func abridge(text, id string) string {
	text = strings.ReplaceAll(plain.Words(text), "'"+id+"'", "TEST_ID")
	text = strings.ReplaceAll(text, id, "TEST_ID")
	text = roleText(text)
	return strings.ReplaceAll(text, "$CI_DISAGG_RUN/", "")
}

// roleList shortens prefill_0, prefill_1, prefill_2 to prefill_0…2.
func roleList(names []string) string {
	var parts []string
	for i := 0; i < len(names); {
		stem, n, ok := number(names[i])
		j := i
		for ok && j+1 < len(names) {
			s, m, more := number(names[j+1])
			if !more || s != stem || m != n+j+1-i {
				break
			}
			j++
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%s…%d", names[i], n+j-i))
		} else {
			parts = append(parts, names[i])
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

func number(role string) (stem string, n int, ok bool) {
	stem, num, ok := strings.Cut(role, "_")
	if !ok {
		return "", 0, false
	}
	_, err := fmt.Sscanf(num, "%d", &n)
	return stem, n, err == nil && fmt.Sprint(n) == num
}

// expected says what a complete attempt leaves behind.
func expected(p rundir.Plan) string {
	results := 0
	for _, r := range p.Roles() {
		if r.JUnit {
			results++
		}
	}
	out := fmt.Sprintf("results.xml of %s, %s (%s)", plain.Count(results, "role"), plain.Count(len(p.Expected.Points), "benchmark point"), pointNames(p.Expected.Points))
	if p.Case.Pipeline != "" {
		out = leaves(p)
	}
	if p.Expected.DeviceStep {
		out += ", device step times"
	}
	if p.Expected.Accuracy {
		out += ", accuracy"
	}
	if p.Expected.GPUType != "" {
		out += ", on " + p.Expected.GPUType
	}
	return out
}

// pointNames writes points that differ in nothing but their concurrency as bash
// would: con{1,2,4}_iter8_isl1024_osl1024.
func pointNames(points []rundir.Point) string {
	names, cons := make([]string, len(points)), make([]string, len(points))
	rest, alike := "", len(points) > 1
	for i, q := range points {
		names[i], cons[i] = q.Name, fmt.Sprint(q.Concurrency)
		after, ok := strings.CutPrefix(q.Name, "con"+cons[i]+"_")
		alike = alike && ok && (i == 0 || after == rest)
		rest = after
	}
	if alike {
		return "con{" + strings.Join(cons, ",") + "}_" + rest
	}
	return strings.Join(names, ", ")
}

// budgetsInForce are the bounds of a case: those that somebody has set, and what
// bounds the rest.
func budgetsInForce(p rundir.Plan) string {
	b := p.Budgets
	var set []string
	for _, phase := range []struct {
		name string
		d    rundir.Duration
	}{{"queue", b.Queue}, {"setup", b.Setup}, {"ready", b.Ready}, {"benchmark", b.Benchmark}, {"drain", b.Drain}, {"collect", b.Collect}} {
		if phase.d > 0 {
			set = append(set, phase.name+" "+phase.d.Short())
		}
	}
	if t := p.Case.Timeout; t > 0 {
		set = append(set, "ready and benchmark together "+t.Short()+" (the list's TIMEOUT)")
	}
	if p.Hang > 0 {
		set = append(set, "hang "+p.Hang.Short())
	}
	return strings.Join(append(set, "the job "+b.Job.Short()), ", ")
}
