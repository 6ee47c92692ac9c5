// Package slurm is a client of Slurm's command line: text in, text out.
//
// In: a host on which sbatch, squeue, scontrol, sacct and scancel work. Out:
// rows as Slurm wrote them, with the words kept. It decides nothing; package
// outcome does. Only text output with explicit formats is used, because the
// JSON of these commands changed shape between releases (23.11, 24.05, 24.11).
package slurm

import (
	"log/slog"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
)

// Options of a client.
type Options struct {
	Timeout  time.Duration // per call; 0 = 30 s
	Clusters string        // value of -M for every command; empty = the default cluster
	Log      *slog.Logger
}

// Client calls Slurm. It is safe for concurrent use.
type Client struct {
	host host.Host
	opts Options
}

// New makes a client.
func New(h host.Host, o Options) *Client { return &Client{host: h, opts: o} }
