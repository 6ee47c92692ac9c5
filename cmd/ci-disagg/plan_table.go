package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// planTable prints a plan for people: settings first, then each case.
func planTable(w io.Writer, doc planDocument) {
	where := "backend " + doc.Backend
	if doc.Cluster != "" {
		where += ", cluster " + doc.Cluster
	}
	fmt.Fprintf(w, "%s, stage %s, %s\n", count(len(doc.Cases), "case"), doc.Stage, where)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range doc.Settings {
		fmt.Fprintf(t, "  %s\t%s\t(%s)\n", s.Key, oneLine(s.Value), s.From)
	}
	_ = t.Flush()
	for i, c := range doc.Cases {
		fmt.Fprintf(w, "\n%d. %s\n", i+1, c.Case.ID)
		caseTable(w, c)
	}
	jobs, nodes, most := 0, 0, 0
	for _, c := range doc.Cases {
		if c.Case.SkipReason != "" {
			continue
		}
		jobs++
		nodes += c.Nodes
		most = max(most, c.Nodes)
	}
	fmt.Fprintf(w, "\ntotal: %s, %s in all, at most %d in one job\n", count(jobs, "job"), count(nodes, "node"), most)
}

func caseTable(w io.Writer, c planCase) {
	row := func(key, format string, args ...any) {
		fmt.Fprintf(w, "   %-9s %s\n", key, fmt.Sprintf(format, args...))
	}
	row("listed", "%s", c.Case.Source)
	if c.Case.SkipReason != "" {
		row("SKIPPED", "%s", c.Case.SkipReason)
		return
	}
	if c.Case.KnownBug != "" {
		row("known", "failure %s: does not turn the run red", c.Case.KnownBug)
	}
	row("mode", "%s%s", c.Case.Mode, server(c.Case))
	row("config", "%s (sha256 %.12s)", c.Case.Config, c.Case.ConfigSHA)
	row("nodes", "%d x %d GPUs: %d allocated, %d used, %d idle", c.Nodes, c.GPUsPerNode, c.AllocatedGPUs, c.UsedGPUs, c.AllocatedGPUs-c.UsedGPUs)
	roleTable(w, c.Plan)
	commands(row, c.Plan)
	b := c.Budgets
	row("budgets", "setup %s, ready %s, benchmark %s, drain %s, collect %s; job %s%s", shortDuration(b.Setup), shortDuration(b.Ready), shortDuration(b.Benchmark), shortDuration(b.Drain), shortDuration(b.Collect), shortDuration(b.Job), queueBudget(b))
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
		row("check", "%s: %s", word, oneLine(c.Check.Answer))
	}
}

func server(c rundir.Case) string {
	if c.Server == "" {
		return ""
	}
	return ", servers " + c.Server
}

// roleTable has one line for each run of roles that are alike.
func roleTable(w io.Writer, p rundir.Plan) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "   role\ttasks\tGPUs\tnodes (tasks on each)\tmpi\n")
	roles := slices.Concat(p.PreRoles, p.Roles)
	for i := 0; i < len(roles); {
		r, j := roles[i], i+1
		names := []string{r.Name}
		all := rundir.RolePlan{Slice: slices.Clone(r.Slice)}
		for ; j < len(roles) && alike(r, roles[j]); j++ {
			names = append(names, roles[j].Name)
			all.Slice = append(all.Slice, roles[j].Slice...)
		}
		mpi := r.MPI
		if mpi == "" {
			mpi = "-"
		}
		fmt.Fprintf(t, "   %s\t%s\t%s\t%s\t%s\n", roleList(names), each(len(names), r.Tasks()), each(len(names), r.GPUs()), nodeRanges(all), mpi)
		i = j
	}
	_ = t.Flush()
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

// commands shows each distinct command once, with the roles that run it.
func commands(row func(key, format string, args ...any), p rundir.Plan) {
	type command struct {
		text, env string
		roles     []string
	}
	var list []*command
	for _, r := range slices.Concat(p.PreRoles, p.Roles) {
		var env []string
		for _, e := range r.Env {
			if e.Name != "DISAGG_SERVING_TYPE" {
				env = append(env, e.Name+"="+oneLine(e.Value))
			}
		}
		c := command{text: r.Command, env: strings.Join(env, " "), roles: []string{r.Name}}
		i := slices.IndexFunc(list, func(o *command) bool { return o.text == c.text && o.env == c.env })
		if i < 0 {
			list = append(list, &c)
		} else {
			list[i].roles = append(list[i].roles, r.Name)
		}
	}
	for _, c := range list {
		row("command", "%s: %s", roleList(c.roles), abridge(c.text, p.Case.ID))
		if c.env != "" {
			row("", "  with %s", c.env)
		}
	}
}

// abridge shortens what is the same in every command. The exact text is in the
// JSON and in --script.
func abridge(text, id string) string {
	text = strings.ReplaceAll(oneLine(text), "'"+id+"'", "TEST_ID")
	text = strings.ReplaceAll(text, id, "TEST_ID")
	text = strings.ReplaceAll(text, "${CI_DISAGG_ROLE:-${DISAGG_SERVING_TYPE:-AGG}}", "ROLE")
	return strings.ReplaceAll(text, "$CI_DISAGG_ATTEMPT/", "")
}

// roleList shortens GEN_0, GEN_1, GEN_2 to GEN_0…2.
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
	for _, r := range p.Roles {
		if r.JUnit {
			results++
		}
	}
	var points []string
	for _, q := range p.Expected.Points {
		points = append(points, q.Name)
	}
	out := fmt.Sprintf("results.xml of %s, %s (%s)", count(results, "role"), count(len(points), "benchmark point"), strings.Join(points, ", "))
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

func queueBudget(b rundir.Budgets) string {
	if b.Queue == 0 {
		return ""
	}
	return ", in the queue " + shortDuration(b.Queue)
}

// shortDuration is a duration without trailing zero units: 1h30m, 45s.
func shortDuration(d rundir.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// planCases adds to each plan what it would be judged against.
func planCases(ctx context.Context, s suite) ([]planCase, error) {
	metrics, err := s.config.metrics()
	if err != nil {
		return nil, usageErr(err)
	}
	pins, err := readPins(s.config, metrics)
	if err != nil {
		return nil, usageErr(err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var store baseline.Store
	var storeErr error
	if url := storeURL(s.config); url != "" {
		store, storeErr = baseline.Open(ctx, url, false)
	}
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	out := make([]planCase, 0, len(s.plans))
	for _, p := range s.plans {
		c := planCase{Plan: p, Baseline: "none: performance is not judged (perf.off)"}
		if !s.config.Perf.Off {
			c.Baseline = inForce(ctx, store, storeErr, pins, p)
		}
		out = append(out, c)
	}
	return out, nil
}

// inForce says in words what a case's run would be judged against. A store that
// cannot be read is worth a line here, not the end of the plan.
func inForce(ctx context.Context, store baseline.Store, storeErr error, pins baseline.Pins, p rundir.Plan) string {
	var parts []string
	if n := len(pins.Cases[p.Case.ID]); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in %s", count(n, "pinned value"), pins.File))
	}
	switch {
	case storeErr != nil:
		parts = append(parts, "history: "+oneLine(storeErr.Error()))
	case store != nil:
		h, err := store.History(ctx, baseline.Query{Case: p.Case.ID, Match: baseline.NormalMatch(p.Match)})
		var down *baseline.UnavailableError
		switch {
		case errors.As(err, &down):
			parts = append(parts, "history unavailable: "+oneLine(err.Error()))
		case err != nil:
			parts = append(parts, "history: "+oneLine(err.Error()))
		case len(h.Runs) == 0:
			parts = append(parts, "no history yet in "+store.String())
		default:
			last := h.Runs[len(h.Runs)-1]
			parts = append(parts, fmt.Sprintf("%s in %s, the last of %s", count(len(h.Runs), "run"), store.String(), last.Time.UTC().Format(time.DateOnly)))
		}
	}
	if len(parts) == 0 {
		return "none: no perf.store and no pinned value"
	}
	return strings.Join(parts, "; ")
}
