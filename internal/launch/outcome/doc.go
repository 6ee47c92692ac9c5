// Package outcome answers one question: where does an attempt stand, and how did
// it end?
//
// In: Facts, which is what each source last answered and when (squeue, scontrol,
// sacct, the agent's record), the client's own record of the job, and a clock.
// Out: a Resolution. Resolve is pure.
//
// The rules it stands on:
//
//   - The state decides; an exit code only refines. TIMEOUT, CANCELLED, PREEMPTED
//     and NODE_FAIL can all carry 0:0 (docs/facts/slurm.md#zero-without-success).
//   - A query that failed or hung is no answer, and no answer says nothing.
//   - Not in squeue is not finished. Only a job that every source has lost for a
//     bounded time of answered questions is lost.
//   - A word that is not known is neither success nor failure.
//   - Green needs evidence: the agent's end record with every planned role in it that
//     may not leave, and nothing that Slurm says against it.
package outcome
