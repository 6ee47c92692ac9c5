package archive

import (
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// Address is where Jenkins will show a directory of the workspace whose files the build archives, "" = that cannot be
// known. A relative path is relative to where the archiving step runs, as it is to where this process does.
func Address(build, workspace, given, dir string) string {
	if filepath.IsAbs(given) {
		given, _ = filepath.Rel(workspace, dir) // "" where there is none
	}
	if build = look.WebLink(build); build == "" || !filepath.IsLocal(given) {
		return ""
	}
	return words.OnWeb(strings.TrimSuffix(build, "/")+"/artifact/", given) + "/"
}
