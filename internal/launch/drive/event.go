package drive

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/follow"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// eventKind says what happened.
type eventKind int

const (
	evBegin        eventKind = iota // the drive begins (found)
	evTick                          // time has passed
	evSaved                         // run.json was written, or not (err)
	evSubmitted                     // a submission has ended (submitted, err)
	evSearched                      // a job without id was looked for (search, err)
	evQueue                         // squeue has answered, or not (rows, err)
	evAnswers                       // scontrol and sacct have (answers)
	evAgents                        // the agents' records were read (sights)
	evCancelFailed                  // a cancellation, or its record, failed (err)
	evClosed                        // an attempt's files and outcome.json are in place (outcome, endedBy, warning, err)
	evDecided                       // the policy has answered (outcome, decision)
	evRequested                     // ci-disagg cancel wants the run's end (text)
	evInterrupted                   // the drive is told to stop (err)
	evBroken                        // the drive cannot go on (err)
)

// event is one thing that happened, with the time at which it did.
type event struct {
	kind eventKind
	at   time.Time
	of   key // the attempt, where it is about one
	err  error
	text string

	found     []found
	submitted submit.Submitted
	search    runs.Search
	rows      []slurm.QueueRow
	answers   answers
	watched   []key // whose sights follow
	sights    []follow.Sight
	outcome   rundir.AttemptOutcome
	decision  retry.Decision
	endedBy   *rundir.Cancel // nil: it is as it was
	warning   error

	spread  float64 // evQueue: a random part, 0 to 1: drivers do not ask in step
	calls   int     // of Slurm so far
	acctOff bool    // sacct has said that there is no accounting
}

// found is what the run directory says of the last attempt of a case.
type found struct {
	job     *rundir.Job            // nil: not even the intent
	outcome *rundir.AttemptOutcome // nil: not ended, as far as is written
	away    bool                   // it has ended, and its files have not come home
}

// answers are those of scontrol, sacct and sinfo about one job. An error is no answer.
type answers struct {
	asked                   outcome.Ask
	control                 *slurm.ControlJob
	rows                    []slurm.AcctRow
	trouble                 []slurm.NodeTrouble
	ctlErr, rowErr, nodeErr error
}

// actionKind says what is to be done.
type actionKind int

const (
	doSave    actionKind = iota // write run.json (run)
	doSubmit                    // submit an attempt (job, order)
	doSearch                    // look for a job by its name (job)
	doQueue                     // ask squeue (clusters)
	doAsk                       // ask scontrol, sacct, sinfo (ask, nodes)
	doRead                      // read the agents' records (watch)
	doCancel                    // ask for the end of a job (job)
	doNote                      // write job.json (job)
	doClose                     // collect the attempt's files and write outcome.json (outcome)
	doDecide                    // ask the policy (ended)
	doTell                      // tell the user (update)
	doAbandon                   // end every job that may exist: nobody can see to them any more
)

// action is one thing to be done.
type action struct {
	kind  actionKind
	of    key
	dir   rundir.AttemptDir // the attempt's, here and as the job sees it
	there rundir.AttemptDir
	job   rundir.Job

	run      rundir.Run
	order    submit.Order
	clusters []string
	ask      outcome.Ask
	nodes    []string
	watch    []follow.Job
	watched  []key // whose jobs these are
	outcome  rundir.AttemptOutcome
	ended    retry.Ended
	update   Update
}
