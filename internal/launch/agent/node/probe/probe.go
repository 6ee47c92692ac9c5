package probe

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	askBound  = 5 * time.Second         // Options.Ask
	leaveSoon = 1500 * time.Millisecond // Options.Leave
)

// Options is everything that a probe needs.
type Options struct {
	Files   *rundir.Tree
	Run     rundir.RunDir
	Node    string
	Devices []int  // of the machine's GPUs, those of the job; empty = all that are seen
	Job     string // id of the job
	Mark    string // how the entry of the environment begins that all processes of the job have, "" = none
	Env     []string
	Root    string           // of /proc and /sys, "/"
	Now     func() time.Time // the agent's clock
	Here    func() time.Time // this machine's
	Every   time.Duration    // between two samples, 0 = no samples
	Ask     time.Duration    // for one question to nvidia-smi, and for all about the host; 0 = five seconds
	Leave   time.Duration    // for the last question, when the run has ended; 0 = less than the agent waits for us
}

// Probe is a node under the eyes of its helper.
type Probe struct {
	o      Options
	phases chan rundir.Phase

	mu  sync.Mutex
	rec rundir.NodeRecord
	err error
}

// New is a probe that has not begun.
func New(o Options) *Probe {
	o.Ask = cmp.Or(o.Ask, askBound)
	return &Probe{o: o, phases: make(chan rundir.Phase, 16)}
}

// Phase tells the probe which phase the run is in now.
func (p *Probe) Phase(now rundir.Phase) {
	select {
	case p.phases <- now:
	default: // it hangs in a question; the counters are not worth waiting for it
	}
}

// Run looks at the node until ctx is done. The error is of the files: what is not known
// is none.
func (p *Probe) Run(ctx context.Context) error {
	p.fingerprint(ctx)
	p.write()
	var all sync.WaitGroup
	if p.o.Every > 0 {
		all.Go(func() { p.sample(ctx) })
	}
	p.follow(ctx)
	all.Wait()
	p.write()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// follow asks for the counters when the benchmark begins and when it is over.
func (p *Probe) follow(ctx context.Context) {
	var last rundir.Phase
	for {
		select {
		case <-ctx.Done():
			for len(p.phases) > 0 { // told in the same moment
				p.enter(ctx, &last, <-p.phases)
			}
			if last == rundir.PhaseBenchmark {
				p.enter(ctx, &last, rundir.PhaseDone)
			}
			return
		case now := <-p.phases:
			p.enter(ctx, &last, now)
		}
	}
}

func (p *Probe) enter(ctx context.Context, last *rundir.Phase, now rundir.Phase) {
	before := *last
	if *last = now; before == now || before != rundir.PhaseBenchmark && now != rundir.PhaseBenchmark {
		return
	}
	if now != rundir.PhaseBenchmark { // the run may be over before the answer comes
		var done context.CancelFunc
		ctx, done = p.outlive(ctx)
		defer done()
	}
	counters := p.counters(ctx)
	if counters == nil {
		return
	}
	p.mu.Lock()
	if now == rundir.PhaseBenchmark {
		p.rec.Phases = append(p.rec.Phases, rundir.PhaseCounters{Phase: now, Before: counters})
	} else if n := len(p.rec.Phases); n > 0 && p.rec.Phases[n-1].After == nil {
		p.rec.Phases[n-1].After = counters
	}
	p.mu.Unlock()
	p.write()
}

// outlive is a context that ends so long after the run has ended as the agent waits for
// us: as long as the run goes on, the last question has as much time as any other.
func (p *Probe) outlive(run context.Context) (context.Context, context.CancelFunc) {
	ctx, done := context.WithCancel(context.WithoutCancel(run))
	stop := context.AfterFunc(run, func() {
		select {
		case <-time.After(cmp.Or(p.o.Leave, leaveSoon)):
			done()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); done() }
}

// counters are those of the job's cards, nil where nobody tells them.
func (p *Probe) counters(ctx context.Context) *rundir.CardsCounters {
	q, err := p.query(ctx)
	if err != nil {
		return nil
	}
	out := &rundir.CardsCounters{At: p.o.Now(), Cards: map[string]rundir.Counter{}}
	for _, g := range p.ours(q.GPUs) {
		if g.UUID != "" {
			out.Cards[g.UUID] = g.Counters
		}
	}
	return out
}

// ours are the job's of a node's cards.
func (p *Probe) ours(cards []rundir.GPU) []rundir.GPU {
	return slices.DeleteFunc(cards, func(g rundir.GPU) bool { return !p.isOurs(g.Index) })
}

func (p *Probe) isOurs(index int) bool {
	return len(p.o.Devices) == 0 || slices.Contains(p.o.Devices, index)
}

// write writes the record as it is now.
func (p *Probe) write() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rec.Schema = rundir.Schema
	if err := p.o.Files.WriteJSON(p.o.Run.MachineFile(p.o.Node), p.rec); err != nil {
		p.err = err
	}
}

// missing notes what could not be found out.
func (p *Probe) missing(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why = rundir.Clip(why, 300); !slices.Contains(p.rec.Missing, why) && len(p.rec.Missing) < 20 {
		p.rec.Missing = append(p.rec.Missing, why)
	}
}
