package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
)

// TakeGPUs gives the roles of a suite for the local backend the GPUs of at, this machine. Its errors are the user's.
func (s Suite) TakeGPUs(ctx context.Context, at host.Host) error {
	if s.Backend != jobs.BackendLocal {
		return nil
	}
	listed := ""
	if res, err := at.Run(ctx, host.Cmd{Argv: []string{"nvidia-smi", "--query-gpu=index", "--format=csv,noheader"}}); err == nil && res.Exit == 0 {
		listed = string(res.Stdout)
	}
	have := jobs.GPUsOf(listed, s.request.Getenv("CUDA_VISIBLE_DEVICES"))
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
