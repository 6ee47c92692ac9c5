package probe

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// othersEvery is after how many samples strangers on the cards are looked for.
const othersEvery = 5

// sampler writes the samples of a node.
type sampler struct {
	p     *Probe
	f     *os.File
	size  int
	tick  int
	cpus  machine.Set
	ticks machine.Ticks

	mu     sync.Mutex
	newest map[int]machine.Sample // by card, that have not been written
	others map[int]int
}

// sample writes a row for each card and one for the node, time after time.
func (p *Probe) sample(ctx context.Context) {
	f, err := p.o.Files.Append(p.o.Run.TelemetryFile(p.o.Node))
	if err != nil {
		p.missing("telemetry: " + err.Error())
		return
	}
	defer func() { _ = f.Close() }()
	s := &sampler{p: p, f: f, newest: map[int]machine.Sample{}, cpus: machine.ParseSet(p.rec.CPU.Set)}
	s.ticks, _ = machine.ParseStat(p.read("proc/stat"), s.cpus)
	s.put(strings.Join(rundir.TelemetryColumns(), ",") + "\n")
	var all sync.WaitGroup
	defer all.Wait()
	if len(p.rec.GPUs) > 0 {
		all.Go(func() { s.cards(ctx) })
	}
	t := time.NewTicker(p.o.Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if len(p.rec.GPUs) > 0 && s.tick%othersEvery == 0 {
				all.Go(func() { s.look(ctx) })
			}
			s.rows(p.o.Now())
		}
	}
}

// look looks for strangers. It may take a while, and the samples go on.
func (s *sampler) look(ctx context.Context) {
	found := s.p.others(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others = found
}

// cards has nvidia-smi print a line per card, time after time, in the best way that it
// knows.
func (s *sampler) cards(ctx context.Context) {
	why := ""
	for _, query := range machine.SampleQueries() {
		lines := &lines{take: s.take}
		_, err := proc.Run(ctx, proc.Command{
			Argv: []string{smi, "--query-gpu=" + query, "--format=csv,nounits", "-lms", strconv.FormatInt(s.p.o.Every.Milliseconds(), 10)},
			Env:  append(s.p.o.Env[:len(s.p.o.Env):len(s.p.o.Env)], "LC_ALL=C"), Stdout: lines, KillLeft: true, Grace: 200 * time.Millisecond,
		})
		if ctx.Err() != nil {
			return
		}
		if lines.columns != nil { // it knew the columns, and ended all the same
			why = fmt.Sprintf("%s ended while it sampled: %v", smi, err)
			break
		}
		why = fmt.Sprintf("%s does not sample: %v; %s", smi, err, lines.said)
	}
	s.p.missing(why)
}

// take keeps the newest sample of a card.
func (s *sampler) take(x machine.Sample) {
	if !s.p.isOurs(x.GPU) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest[x.GPU] = x
}

// rows writes what is new. The fuller the file, the fewer rows: at half of its bound
// every second is left out, at three quarters three of four, and so on; so a run of any
// length is seen to its end.
func (s *sampler) rows(now time.Time) {
	s.tick++
	s.mu.Lock()
	cards, others := s.newest, s.others
	s.newest = map[int]machine.Sample{}
	s.mu.Unlock()
	after, ok := machine.ParseStat(s.p.read("proc/stat"), s.cpus)
	steal, told := machine.Stolen(s.ticks, after)
	if ok {
		s.ticks = after
	}
	if every := 1; s.size > 0 {
		for left := rundir.MaxTelemetryFile - s.size; left < rundir.MaxTelemetryFile>>1 && every < 1<<20; left *= 2 {
			every *= 2
		}
		if s.tick%every != 0 {
			return
		}
	}
	at := fmt.Sprintf("%d.%03d", now.Unix(), now.Nanosecond()/int(time.Millisecond))
	var b strings.Builder
	for _, gpu := range sorted(cards) {
		c := cards[gpu]
		who := ""
		if others != nil {
			who = strconv.Itoa(others[gpu])
		}
		fmt.Fprintf(&b, "%s,%d,%s,%s,%s,%s,%s,%s,%s,%s,,\n", at, gpu, field(c.SM), field(c.Mem), field(c.Power), field(c.Temp), field(c.Util), field(c.Used), c.Reasons, who)
	}
	stolen := ""
	if told {
		stolen = strconv.FormatFloat(steal, 'f', 2, 64)
	}
	load, _, _ := strings.Cut(s.p.line("proc/loadavg"), " ")
	fmt.Fprintf(&b, "%s,,,,,,,,,,%s,%s\n", at, stolen, strings.ReplaceAll(load, ",", "."))
	s.put(b.String())
}

func (s *sampler) put(text string) {
	if s.size+len(text) > rundir.MaxTelemetryFile {
		return
	}
	n, err := s.f.WriteString(text)
	if s.size += n; err != nil {
		s.p.missing("telemetry: " + err.Error())
	}
}

func field(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

func sorted(m map[int]machine.Sample) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// lines cuts what nvidia-smi prints into lines.
type lines struct {
	take    func(machine.Sample)
	columns machine.Columns // once it has printed their names
	said    string          // the first line that was neither
	rest    []byte
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			break
		}
		l.line(strings.TrimSpace(string(l.rest[:i])))
		l.rest = l.rest[i+1:]
	}
	const longest = 8 << 10
	if len(l.rest) > longest {
		l.rest = nil
	}
	return len(b), nil
}

func (l *lines) line(text string) {
	if c, ok := machine.ParseColumns(text); ok {
		l.columns = c
		return
	}
	if s, ok := l.columns.Sample(text); ok && l.columns != nil {
		l.take(s)
	} else if l.said == "" {
		l.said = rundir.Clip(text, 200)
	}
}
