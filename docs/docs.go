// Package docs is the pages of this folder, as far as the program itself reads them.
package docs

import (
	_ "embed" // config.md
	"strings"
)

//go:embed config.md
var config string

// ConfigKeys is what docs/config.md says of each key: its meaning and its default.
func ConfigKeys() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(config) {
		row, ok := strings.CutPrefix(strings.TrimSpace(line), "| `")
		if !ok {
			continue
		}
		// A bar inside a cell is written \|.
		cells := strings.Split(strings.ReplaceAll(strings.TrimSuffix(row, "|"), `\|`, "\x00"), " |")
		if len(cells) < 3 || strings.HasPrefix(row, "$") {
			continue
		}
		key, def, meaning := strings.TrimSuffix(cells[0], "`"), strings.TrimSpace(cells[1]), strings.TrimSpace(strings.Join(cells[2:], " |"))
		if def != "" {
			meaning += " (default: " + def + ")"
		}
		out[key] = strings.TrimSpace(strings.NewReplacer("\x00", "|", "`", "").Replace(meaning))
	}
	return out
}
