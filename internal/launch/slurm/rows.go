package slurm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Job names one job. Cluster is what sbatch answered after the id, when it was
// routed (-M or a federation); empty = the default cluster.
type Job struct {
	ID      string
	Cluster string
}

// QueueRow is one line of squeue.
type QueueRow struct {
	ID       string // 123, 123+0 for a het job's first component
	Name     string
	State    State
	Reason   string
	Start    time.Time // of a pending job: Slurm's estimate, zero = none
	Submit   time.Time
	Nodes    int
	NodeList string
	Command  string // path of the batch script
}

// AcctRow is one line of sacct.
type AcctRow struct {
	ID       string // 123; 123.0 and 123.batch are steps
	Name     string
	State    State
	By       string // uid that cancelled it
	User     string // uid whose job it is
	Exit     ExitCode
	Derived  ExitCode // jobs only
	Submit   time.Time
	Start    time.Time
	End      time.Time
	NodeList string
	Reason   string
	Restarts int
	WorkDir  string // only of a search by it
	// Suspended is for how long the job was stopped in all. Of one that was stopped for
	// seconds nothing else tells.
	Suspended time.Duration
}

// NewestRow is the job's row, not a step's; of several restarts, the last. nil =
// there is none.
func NewestRow(rows []AcctRow, id string) *AcctRow {
	var best *AcctRow
	for i := range rows {
		if rows[i].ID == id && (best == nil || !rows[i].Submit.Before(best.Submit)) {
			best = &rows[i]
		}
	}
	return best
}

// ControlJob is what scontrol knows of a job.
type ControlJob struct {
	ID        string
	State     State
	Reason    string
	Exit      ExitCode
	Submit    time.Time
	Start     time.Time
	End       time.Time
	NodeList  string
	Asks      int       // how many nodes it asks for, 0 = unknown
	Partition string    // or several, as it asks for them
	Room      int       // the most nodes that one of its partitions has or allows, where it waits for that; 0 = unknown
	Preempt   time.Time // when a job of higher priority was given its nodes; it may go on for a grace time. Zero = never
}

// ExitCode is Slurm's exit:signal pair. The zero value is "0:0", which jobs that
// did not succeed can carry as well.
type ExitCode struct {
	Code   int
	Signal int
	Known  bool // the column held a pair
}

func (e ExitCode) String() string {
	if !e.Known {
		return ""
	}
	return strconv.Itoa(e.Code) + ":" + strconv.Itoa(e.Signal)
}

// Zero reports whether the pair is known and is 0:0.
func (e ExitCode) Zero() bool { return e.Known && e.Code == 0 && e.Signal == 0 }

func parseExit(s string) ExitCode {
	c, g, ok := strings.Cut(s, ":")
	if !ok {
		return ExitCode{}
	}
	code, err1 := strconv.Atoi(c)
	sig, err2 := strconv.Atoi(g)
	if err1 != nil || err2 != nil || code < 0 || sig < 0 {
		return ExitCode{}
	}
	return ExitCode{Code: code, Signal: sig, Known: true}
}

// parseTime reads seconds since the epoch or Slurm's ISO form (in UTC). What
// Slurm writes for "no time" (N/A, Unknown, None, 0, empty) is the zero time.
func parseTime(s string) time.Time {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n <= 0 || n > 1<<40 {
			return time.Time{}
		}
		return time.Unix(n, 0).UTC()
	}
	if t, err := time.Parse("2006-01-02T15:04:05", s); err == nil {
		return t
	}
	return time.Time{}
}

// parseSpan reads [D-][HH:]MM:SS[.mmm]; what it cannot read is 0.
func parseSpan(s string) time.Duration {
	days, clock, ok := strings.Cut(s, "-")
	if !ok {
		days, clock = "0", s
	}
	n, err := strconv.Atoi(days)
	total := time.Duration(n) * 24 * time.Hour
	units := []time.Duration{time.Second, time.Minute, time.Hour}
	parts := strings.Split(clock, ":")
	if err != nil || len(parts) > len(units) {
		return 0
	}
	slices.Reverse(parts)
	for i, part := range parts {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil || f < 0 || f > 1e6 {
			return 0
		}
		total += time.Duration(f * float64(units[i]))
	}
	return total
}

// errCut says that the output ends in the middle of a line.
var errCut = errors.New("the output is cut off")

// table is delimited text with a header line.
type table struct {
	index map[string]int
	rows  [][]string
}

// parseTable reads delimited text, whose rows newRow divides. The header names
// the columns, so that a release which adds or moves one does no harm; a row with
// another number of fields is an error, because what is in which column is then a
// guess.
func parseTable(text, newRow, sep string, want ...string) (table, error) {
	t := table{}
	if text != "" && !strings.HasSuffix(text, "\n") {
		return table{}, errCut
	}
	for n, line := range strings.Split(text, newRow) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		fields := strings.Split(line, sep)
		if t.index == nil || sameHeader(t.index, fields) {
			t.index = headerIndex(fields)
			continue
		}
		if len(fields) != len(t.index) {
			return table{}, fmt.Errorf("row %d: %d fields, the header has %d: %.200q", n+1, len(fields), len(t.index), line)
		}
		t.rows = append(t.rows, fields)
	}
	if t.index == nil {
		return table{}, fmt.Errorf("no header line in %.200q", text)
	}
	for _, w := range want {
		if _, ok := t.index[w]; !ok {
			return table{}, fmt.Errorf("no column %s in the header", w)
		}
	}
	return t, nil
}

func headerIndex(fields []string) map[string]int {
	index := map[string]int{}
	for i, f := range fields {
		f = strings.ToUpper(strings.TrimSpace(f))
		if _, twice := index[f]; twice {
			f = "\x00" + strconv.Itoa(i)
		}
		index[f] = i
	}
	return index
}

func sameHeader(index map[string]int, fields []string) bool {
	if len(fields) != len(index) {
		return false
	}
	for i, f := range fields {
		if j, ok := index[strings.ToUpper(strings.TrimSpace(f))]; !ok || i != j {
			return false
		}
	}
	return true
}

// get is the trimmed value of a column, "" when the column is not there.
func (t table) get(row []string, col string) string {
	i, ok := t.index[col]
	if !ok {
		return ""
	}
	return strings.TrimSpace(row[i])
}

func none(s string) string {
	switch s {
	case "None", "(null)", "N/A", "None assigned", "Unknown":
		return ""
	}
	return s
}

// ParseQueue reads the output of squeue with this package's format. What stands
// before the first row is not ours: -M puts "CLUSTER: x" there.
func ParseQueue(text string) ([]QueueRow, error) {
	_, table, ok := strings.Cut(text, queueRow)
	if !ok {
		return nil, fmt.Errorf("squeue: no header line in %.200q", text)
	}
	t, err := parseTable(table, queueRow, queueSep, "JOBID", "NAME", "STATE", "REASON")
	if err != nil {
		return nil, fmt.Errorf("squeue: %w", err)
	}
	rows := make([]QueueRow, 0, len(t.rows))
	for _, r := range t.rows {
		row := QueueRow{
			ID: t.get(r, "JOBID"), Name: t.get(r, "NAME"), Reason: none(t.get(r, "REASON")),
			Start: parseTime(t.get(r, "START_TIME")), Submit: parseTime(t.get(r, "SUBMIT_TIME")),
			NodeList: none(t.get(r, "NODELIST")), Command: t.get(r, "COMMAND"),
		}
		if !isJobID(row.ID) {
			return nil, fmt.Errorf("squeue: %.60q is not a job id", row.ID)
		}
		row.State, _ = ParseState(t.get(r, "STATE"))
		row.Nodes, _ = strconv.Atoi(firstNumber(t.get(r, "NODES")))
		rows = append(rows, row)
	}
	return rows, nil
}

// firstNumber cuts a node count that squeue shows as a range ("2-4") of a
// pending job down to its lower bound.
func firstNumber(s string) string {
	low, _, _ := strings.Cut(s, "-")
	return low
}

// ParseAcct reads the output of sacct -P.
func ParseAcct(text string) ([]AcctRow, error) {
	t, err := parseTable(text, "\n", "|", "JOBID", "JOBNAME", "STATE", "EXITCODE")
	if err != nil {
		return nil, fmt.Errorf("sacct: %w", err)
	}
	rows := make([]AcctRow, 0, len(t.rows))
	for _, r := range t.rows {
		row := AcctRow{
			ID: t.get(r, "JOBID"), Name: t.get(r, "JOBNAME"),
			Exit: parseExit(t.get(r, "EXITCODE")), Derived: parseExit(t.get(r, "DERIVEDEXITCODE")),
			Submit: parseTime(t.get(r, "SUBMIT")), Start: parseTime(t.get(r, "START")), End: parseTime(t.get(r, "END")),
			NodeList: none(t.get(r, "NODELIST")), Reason: none(t.get(r, "REASON")), Suspended: parseSpan(t.get(r, "SUSPENDED")), User: none(t.get(r, "UID")),
		}
		job, _, _ := strings.Cut(row.ID, ".")
		if !isJobID(job) {
			return nil, fmt.Errorf("sacct: %.60q is not a job id", row.ID)
		}
		row.State, row.By = ParseState(t.get(r, "STATE"))
		row.Restarts, _ = strconv.Atoi(t.get(r, "RESTARTS"))
		rows = append(rows, row)
	}
	return rows, nil
}

// ParseControl reads "scontrol -o show job": one job per line, Key=Value pairs.
// A value may hold blanks (Comment, JobName, Command with arguments); it ends
// where a known key begins. A line that begins with something else than a job's id
// is the rest of such a value (AdminComment).
func ParseControl(text string) ([]ControlJob, error) {
	var jobs []ControlJob
	if text != "" && !strings.HasSuffix(text, "\n") {
		return nil, errCut
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || len(jobs) > 0 && !strings.HasPrefix(line, "JobId=") {
			continue
		}
		kv := controlPairs(line)
		if !isJobID(kv["JobId"]) || kv["JobState"] == "" {
			return nil, fmt.Errorf("scontrol: no JobId and JobState in %.200q", line)
		}
		j := ControlJob{
			ID: kv["JobId"], Reason: none(kv["Reason"]), Exit: parseExit(kv["ExitCode"]),
			Submit: parseTime(kv["SubmitTime"]), Start: parseTime(kv["StartTime"]), End: parseTime(kv["EndTime"]),
			NodeList: none(kv["NodeList"]), Partition: none(kv["Partition"]), Preempt: parseTime(kv["PreemptTime"]),
		}
		j.State, _ = ParseState(kv["JobState"])
		least, _, _ := strings.Cut(kv["NumNodes"], "-")
		j.Asks, _ = strconv.Atoi(least)
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// controlPairs splits a line of scontrol at words that look like Key=. The first
// occurrence of a key wins: what a user wrote into Comment, which comes late,
// cannot replace what Slurm said before it. Fields before Comment that a user
// controls (JobName) are ours.
func controlPairs(line string) map[string]string {
	kv := map[string]string{}
	key := ""
	for word := range strings.SplitSeq(line, " ") {
		k, v, ok := strings.Cut(word, "=")
		if ok && isKey(k) {
			key = ""
			if _, seen := kv[k]; !seen {
				kv[k], key = v, k
			}
			continue
		}
		if key != "" && word != "" {
			kv[key] += " " + word
		}
	}
	return kv
}

func isKey(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range s {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '/' && c != ':' {
			return false
		}
	}
	return true
}

// isJobID accepts 123, 123+0 (het) and 123_4 or 123_[5-9%2] (arrays, never ours
// but in the same list).
func isJobID(s string) bool {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i > 0 && i <= 18 && (i == len(s) || s[i] == '+' || s[i] == '_')
}

// plainID reports whether s is digits only: the id of a job that we submitted.
func plainID(s string) bool { return isJobID(s) && !strings.ContainsAny(s, "+_") }

// parseSubmit reads the answer of sbatch --parsable: "id" or "id;cluster".
// Anything printed before by a plugin is ignored; the answer is the last line.
func parseSubmit(stdout string) (Job, error) {
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	id, cluster, routed := strings.Cut(last, ";")
	if !plainID(id) || (routed && !isWord(cluster)) {
		return Job{}, fmt.Errorf("sbatch answered %.200q, which is not a job id", stdout)
	}
	return Job{ID: id, Cluster: cluster}, nil
}

// isWord accepts what a cluster may be called.
func isWord(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c) {
			return false
		}
	}
	return s != "" && s[0] != '-'
}

// Nodes expands a Slurm node list: gpu[0-1,4],login1. Zero padding is kept. It
// gives up (nil) on a list of more than limit nodes or one it cannot read.
func Nodes(list string, limit int) []string {
	var out []string
	for list != "" {
		part := list
		if i := cutOutside(list); i >= 0 {
			part, list = list[:i], list[i+1:]
		} else {
			list = ""
		}
		more, ok := expandOne(part, limit-len(out))
		if !ok {
			return nil
		}
		out = append(out, more...)
	}
	return out
}

// cutOutside is the index of the first comma outside of brackets, or -1.
func cutOutside(s string) int {
	depth := 0
	for i, c := range s {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ',' && depth == 0:
			return i
		}
	}
	return -1
}

func expandOne(s string, limit int) ([]string, bool) {
	open := strings.IndexByte(s, '[')
	if open < 0 {
		return []string{s}, s != "" && limit >= 1 && !strings.ContainsRune(s, ']')
	}
	end := strings.IndexByte(s[open:], ']')
	if end < 0 {
		return nil, false
	}
	end += open
	tails := []string{""}
	if rest := s[end+1:]; rest != "" {
		var ok bool
		if tails, ok = expandOne(rest, limit); !ok {
			return nil, false
		}
	}
	var out []string
	for r := range strings.SplitSeq(s[open+1:end], ",") {
		lo, hi, isRange := strings.Cut(r, "-")
		if !isRange {
			hi = lo
		}
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil || b < a || b-a >= limit || len(out)+(b-a+1)*len(tails) > limit {
			return nil, false
		}
		for n := a; n <= b; n++ {
			for _, t := range tails {
				out = append(out, fmt.Sprintf("%s%0*d%s", s[:open], len(lo), n, t))
			}
		}
	}
	return out, true
}
