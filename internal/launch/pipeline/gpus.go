package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// TakeGPUs gives the roles of a suite for the local backend the GPUs of at, this machine. Its errors are the user's.
func (s Suite) TakeGPUs(ctx context.Context, at host.Host) error {
	if s.Backend != rundir.BackendLocal {
		return nil
	}
	listed, trouble := listGPUs(ctx, at)
	have := jobs.GPUsOf(listed, s.request.Getenv("CUDA_VISIBLE_DEVICES"))
	if trouble != "" && len(s.Plans) > 0 {
		s.warn(0, "nvidia-smi is here and says nothing of GPUs (%s): those of this plan are make-believe", trouble)
	}
	wanted := s.request.Config.Workload.GPUs
	if len(have) == 0 && len(wanted) > 0 {
		return fmt.Errorf("%s: this machine shows no GPU (nvidia-smi): remove workload.gpus", strings.TrimPrefix(s.request.Doc.At("workload.gpus"), ": "))
	}
	for i, p := range s.Plans {
		if p.Case.SkipReason != "" {
			continue
		}
		placed, err := jobs.TakeGPUs(p, have, wanted)
		if err != nil {
			return err
		}
		s.Plans[i] = placed
	}
	return nil
}

// listGPUs asks nvidia-smi for the numbers of the GPUs, a line each. trouble is why one that is there did not
// answer: a machine without nvidia-smi has no GPUs, one whose driver is broken may.
func listGPUs(ctx context.Context, at host.Host) (listed, trouble string) {
	res, err := at.Run(ctx, host.Cmd{Argv: []string{"nvidia-smi", "--query-gpu=index", "--format=csv,noheader"}})
	switch {
	case errors.Is(err, host.ErrNotStarted):
		return "", ""
	case err != nil:
		return "", err.Error()
	case res.Exit != 0:
		said, _, _ := strings.Cut(strings.TrimSpace(string(res.Stdout)+string(res.Stderr)), "\n")
		return "", fmt.Sprintf("exit %d: %s", res.Exit, said)
	}
	return string(res.Stdout), ""
}
