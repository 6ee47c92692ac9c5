// Package smi gives tests cards that they have not: a stand-in for nvidia-smi that says
// what a test wants it to.
//
// In: cards, how hot they are, who computes on them. Out: a directory for the PATH, and
// the variable that the stand-in needs. Its texts are recorded ones of a real card.
package smi

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

//go:embed nvidia-smi
var program []byte

//go:embed q.txt
var query []byte

// Card is one card as the stand-in has it.
type Card struct {
	UUID                  string
	SM, Power, Temp, Util int
}

// Machine is a machine with such cards.
type Machine struct {
	t   testing.TB
	dir string
}

// New makes a machine with these cards.
func New(t testing.TB, cards ...Card) *Machine {
	t.Helper()
	m := &Machine{t: t, dir: t.TempDir()}
	require.NoError(t, rundir.WriteFile(filepath.Join(m.dir, "nvidia-smi"), program, rundir.ExecMode))
	m.put("q", string(query))
	m.Cards(cards...)
	return m
}

// Cards changes the cards.
func (m *Machine) Cards(cards ...Card) {
	m.t.Helper()
	var b strings.Builder
	for i, c := range cards {
		fmt.Fprintf(&b, "%d %s %d %d %d %d\n", i, c.UUID, c.SM, c.Power, c.Temp, c.Util)
	}
	m.put("cards", b.String())
}

// Heats makes the counter of thermal slowdown grow by so many microseconds from one
// look to the next.
func (m *Machine) Heats(us int) { m.t.Helper(); m.put("us", fmt.Sprint(us)) }

// Hesitates has the next -q wait for its answer: asked reports whether it was asked.
func (m *Machine) Hesitates() (asked func() bool, answer func()) {
	m.t.Helper()
	m.put("hold", "")
	asked = func() bool {
		_, err := os.Stat(filepath.Join(m.dir, "asked"))
		return err == nil
	}
	return asked, func() { _ = os.Remove(filepath.Join(m.dir, "hold")) }
}

// Computes has a process compute on a card.
func (m *Machine) Computes(uuid string, pid int, name string) {
	m.t.Helper()
	m.put("apps", fmt.Sprintf("%s, %d, %s\n", uuid, pid, name))
}

func (m *Machine) put(name, text string) {
	m.t.Helper()
	require.NoError(m.t, rundir.WriteFile(filepath.Join(m.dir, name), []byte(text), rundir.FileMode))
}

// Dir is the directory for the PATH.
func (m *Machine) Dir() string { return m.dir }

// Env is this process's environment, with the stand-in first on the PATH.
func (m *Machine) Env() []string {
	return append(os.Environ(), "PATH="+m.dir+":"+os.Getenv("PATH"), "SMI_DIR="+m.dir)
}
