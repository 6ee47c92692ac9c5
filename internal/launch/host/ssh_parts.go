package host

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
)

// parseParts reads "number base64" lines into out under the paths' names.
func parseParts(text []byte, paths []string, out map[string][]byte) error {
	for line := range bytes.SplitSeq(bytes.TrimSpace(text), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		num, b64, _ := bytes.Cut(line, []byte(" "))
		i, err := strconv.Atoi(string(num))
		if err != nil || i < 0 || i >= len(paths) {
			return fmt.Errorf("unexpected answer %.60q", line)
		}
		data, err := base64.StdEncoding.DecodeString(string(b64))
		if err != nil {
			return fmt.Errorf("part of %s: %w", paths[i], err)
		}
		out[paths[i]] = data
	}
	return nil
}
