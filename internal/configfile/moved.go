package configfile

import (
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// tmp is what Jenkins adds to a workspace's name for the directory of its own files beside that.
const tmp = "@tmp"

// Workspace is the directory that comes and goes with the agent's copy of what a config belongs to.
type Workspace struct {
	Root  string // as the config's path names it
	Named string // as $WORKSPACE does, where a link leads to it; else the same
}

// Workspace is $WORKSPACE, or the checkout that the config is in, or else the config's own directory.
func (c Config) Workspace(getenv func(string) string) Workspace {
	own := filepath.Dir(c.Path)
	if w := filepath.Clean(getenv("WORKSPACE")); filepath.IsAbs(w) && w != "/" {
		linked, err := filepath.EvalSymlinks(w)
		if err != nil {
			linked = w
		}
		for _, root := range []Workspace{{w, w}, {w + tmp, w + tmp}, {linked, w}, {linked + tmp, w + tmp}} {
			if below(c.Path, root.Root) {
				return root
			}
		}
	}
	for dir := own; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return Workspace{dir, dir}
		}
	}
	return Workspace{own, own}
}

// Beside is where Jenkins keeps its own files of a workspace.
func Beside(workspace string) string { return filepath.Clean(workspace) + tmp }

func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// move is the root of one workspace, and that of another that stands for it.
type move struct{ from, to string }

// moves are where what a file belongs to has moved when the file has, if both have the same way below it: no higher
// than the workspace that the file is in now. A workspace that a link leads to has moved beside that link, too.
func (w Workspace) moves(from, to string) []move {
	for to != w.Root && filepath.Base(from) == filepath.Base(to) && filepath.Dir(from) != "/" && filepath.Dir(to) != "/" {
		from, to = filepath.Dir(from), filepath.Dir(to)
	}
	moves := []move{{from, to}}
	if to == w.Root && w.Named != w.Root {
		moves = append(moves, move{filepath.Join(filepath.Dir(w.Named), filepath.Base(from)), w.Named})
	}
	for i, m := range moves {
		a, ok := strings.CutSuffix(m.from, tmp)
		b, too := strings.CutSuffix(m.to, tmp)
		if ok && too {
			moves[i] = move{a, b}
		}
	}
	return moves
}

// text is a text with the other root wherever it names this one.
func (m move) text(s string) string {
	var out strings.Builder
	for rest := s; ; {
		i := strings.Index(rest, m.from)
		if i < 0 {
			return out.String() + rest
		}
		before, after := s[:len(s)-len(rest)+i], rest[i+len(m.from):]
		ends := strings.TrimPrefix(after, tmp)
		out.WriteString(rest[:i])
		if begins(before) && (ends == "" || !inName(ends[0])) {
			out.WriteString(m.to)
		} else {
			out.WriteString(m.from)
		}
		rest = after
	}
}

// begins reports whether an absolute path can begin behind a text: not within another, but behind an option's letter.
func begins(text string) bool {
	i := len(text)
	for i > 0 && (inName(text[i-1]) || text[i-1] == '/') {
		i--
	}
	word := text[i:]
	return strings.HasSuffix(text, "://") || !strings.Contains(word, "/") && (i == 0 || text[i-1] != '$')
}

// inName reports whether a byte goes on with the name of a file.
func inName(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= 0x80 || strings.IndexByte("_.@%+-", b) >= 0
}

// config is the text of a config as it reads in the other workspace. What stands in the other's config as it is, stays.
func (m move) config(text, other []byte) []byte {
	if m.from == m.to {
		return text
	}
	node, err := strictyaml.Parse("", text)
	if err != nil {
		return text // whoever reads it says what is wrong
	}
	there, err := strictyaml.Parse("", other)
	if err != nil {
		there = nil
	}
	if m.node(node, there) == 0 {
		return text
	}
	moved, err := yaml.Marshal(node)
	if err != nil {
		return text
	}
	return moved
}

// node moves what is in a node, and says how many texts that has changed. The other's node is nil where it has none.
func (m move) node(n, other *yaml.Node) (changed int) {
	if other != nil && other.Kind == yaml.AliasNode {
		other = other.Alias
	}
	if other != nil && other.Kind != n.Kind {
		other = nil
	}
	if n.Kind == yaml.ScalarNode {
		moved := m.text(n.Value)
		if moved == n.Value || other != nil && other.Value == n.Value {
			return 0
		}
		n.Value = moved
		return 1
	}
	for i, child := range n.Content { // none below an alias
		var counterpart *yaml.Node
		switch {
		case other == nil:
		case n.Kind != yaml.MappingNode && i < len(other.Content):
			counterpart = other.Content[i]
		case n.Kind == yaml.MappingNode && i%2 == 0:
			counterpart, _ = m.entry(other, child.Value)
		case n.Kind == yaml.MappingNode:
			_, counterpart = m.entry(other, n.Content[i-1].Value)
		}
		changed += m.node(child, counterpart)
	}
	return changed
}

// entry is the key and the value that a mapping has under a name, or under that as it reads there.
func (m move) entry(in *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(in.Content); i += 2 {
		switch in.Content[i].Value {
		case name:
			return in.Content[i], in.Content[i+1]
		case m.text(name):
			key, value = in.Content[i], in.Content[i+1]
		}
	}
	return key, value
}
