package rundir

import "time"

// NodeFile is what the node helper on one of the job's nodes has seen there: one
// NodeEvent a line, without NodeRequests and what has lasted for long, which only the agent is told.
func (r RunDir) NodeFile(node string) string { return r.path("nodes", node+".jsonl") }

// MaxNodeFile is how long a NodeFile may become, in bytes.
const MaxNodeFile = 256 << 10

// NodeEvent is one thing that a node helper saw, on the agent's clock.
type NodeEvent struct {
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
	Role   string    `json:"role,omitempty"` // whose server it is about, "" = the helper itself
	What   NodeWhat  `json:"what"`
	PID    int       `json:"pid,omitempty"`
	Port   int       `json:"port,omitempty"`
	Status int       `json:"status,omitempty"` // of the answer to its health check
	Exit   int       `json:"exit,omitempty"`   // 128+signal when killed
	Signal int       `json:"signal,omitempty"`
	Looks  int       `json:"looks,omitempty"`  // how often in a row that was seen, where one look proves nothing
	Open   int       `json:"open,omitempty"`   // NodeRequests: connections that last, without Unread
	Unread int       `json:"unread,omitempty"` // NodeRequests: those whose other side does not take what was sent to it
	Switch string    `json:"switch,omitempty"` // NodeBegan: the one that the node hangs on, if Slurm knows
	Text   string    `json:"text,omitempty"`   // for people
	For    Duration  `json:"for,omitempty"`    // NodeStood: how long
}

// NodeWhat is what a node helper saw.
type NodeWhat string

// What there is to see of a server. One that ended without NodeEnded was reaped before
// anybody could ask how.
const (
	NodeBegan    NodeWhat = "began"     // the helper
	NodeLeft     NodeWhat = "left"      // the helper
	NodeBlind    NodeWhat = "blind"     // the server's process cannot be seen from here (text)
	NodeServer   NodeWhat = "server"    // its process (pid) listens on its port
	NodePortGone NodeWhat = "port-gone" // nobody listens there any more
	NodeEnded    NodeWhat = "ended"     // its process ended (exit, signal) while the one that had started it lived on
	NodeGone     NodeWhat = "gone"      // its process has gone, or ended with the one that had started it
	NodeHealthy  NodeWhat = "healthy"   // it answers its health check with 200
	NodeStood    NodeWhat = "stood"     // its process goes on, or is not watched any longer, after somebody had stopped it (for)
	NodeSick     NodeWhat = "sick"      // it answers with an error, twice (status)
	NodeRefused  NodeWhat = "refused"   // nobody listens at its address
	NodeSilent   NodeWhat = "silent"    // it does not answer (text)
	NodeRequests NodeWhat = "requests"  // connections to it last (open): requests that wait for it; none = nobody waits
)
