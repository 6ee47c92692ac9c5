package rundir

import (
	"slices"
	"strings"
)

// Lifecycle says when a role starts, and which of its ends are good ones.
type Lifecycle struct {
	// Needs are groups whose roles must be ready (servers, routers) or have ended well
	// (tasks, prechecks) before this one starts. Empty: it starts at once.
	Needs []string `json:"needs,omitempty"`
	// Optional roles may leave, however they end, without the attempt failing.
	Optional bool `json:"optional,omitempty"`
	// Stop is StopWithClient, or "": the role ends by itself.
	Stop string `json:"stop,omitempty"`
}

// StopWithClient is the Stop of roles that the agent ends once everything that works
// is through, in the reverse of the order in which they started. Ended by the agent
// is a good end.
const StopWithClient = "with-client"

// Outfit is what role.sh makes ready for the command of a role.
type Outfit struct {
	Dir       string     `json:"dir,omitempty"`       // absolute working directory of the command; "" = the plan's
	Container *Container `json:"container,omitempty"` // the role's own; nil = the build's
	// Port asks for a port that is free on the role's first node. It is published in the
	// role's address file before the command starts, and exported with the host.
	Port bool `json:"port,omitempty"`
	// FixedPort is published in place of one that is free, 0 = none.
	FixedPort int          `json:"fixed_port,omitempty"`
	Refs      []AddressRef `json:"refs,omitempty"`     // shell variables made of what other roles have published
	Programs  []string     `json:"programs,omitempty"` // names and paths without which the command cannot begin: the launcher, pytest
}

// AddressRef is a shell variable that is made of published addresses.
type AddressRef struct {
	Var   string   `json:"var"`
	Roles []string `json:"roles"`         // names of roles that have a port
	Part  string   `json:"part"`          // one of the Part constants
	Sep   string   `json:"sep,omitempty"` // between several roles; "" = ","
}

// The parts of an address.
const (
	PartHost    = "host"
	PartPort    = "port"
	PartAddress = "address" // host:port
	PartURL     = "url"     // http://host:port
)

// Leaves is what a role leaves behind in its own output folder. All patterns are
// relative to that folder; "**" stands for any number of folders.
type Leaves struct {
	Results []string     `json:"results,omitempty"` // JUnit files; a role without any is one test case made of its end
	Bench   []BenchFiles `json:"bench,omitempty"`   // measurements
	// Steps is the name of the file below output/ in which the role logs its iterations.
	Steps string `json:"steps,omitempty"`
}

// BenchFiles are files of a role that hold measurements.
type BenchFiles struct {
	Reader string   `json:"reader,omitempty"` // name of the format; "" = recognised by content
	Files  []string `json:"files"`
}

// AddressDir is the folder below output/ with a file per role that has a port: host:port.
const AddressDir = "address"

// Measures reports whether something of the case is read as a measurement: always of
// TensorRT-LLM's tests, else where a role says so.
func (p Plan) Measures() bool {
	return p.Case.Pipeline == "" || slices.ContainsFunc(p.Roles(), func(r RolePlan) bool { return len(r.Bench) > 0 })
}

// AddressFile is the file below output/ in which a role's server is published, "" = none.
func (r RolePlan) AddressFile() string {
	if r.Ready.AddressFile == "" && r.Port {
		return AddressDir + "/" + r.Name
	}
	return r.Ready.AddressFile
}

// RoleOut is the role's own output folder.
func (r RunDir) RoleOut(role string) string { return r.path("output", role) }

// AddressDir is the folder of the address files.
func (r RunDir) AddressDir() string { return r.path("output", AddressDir) }

// Address is the file in which a role that has a port publishes host:port.
func (r RunDir) Address(role string) string { return r.path("output", AddressDir, role) }

// CommandPrefix is shell text that comes before a command, such as a role's Before, as it
// stands in front of the command in one variable. "none" is nothing.
func CommandPrefix(text string) string {
	switch text = strings.TrimSpace(text); {
	case text == "" || text == "none":
		return ""
	case strings.ContainsAny(text, "\n#"):
		return "{ " + text + "\n} && "
	}
	return text + " && "
}
