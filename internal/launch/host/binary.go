package host

import (
	"context"
	"fmt"
	"os"
	"path"
	"time"
)

// InstallBinary copies the executable at local to dir on the host, unless a file
// of the same checksum is there already, and returns its path there. The name
// carries the checksum, so versions live side by side and a running job never
// has its binary replaced; the file appears by rename, complete or not at all.
func InstallBinary(ctx context.Context, h Host, local, dir string) (string, error) {
	sum, err := fileSum(local)
	if err != nil {
		return "", err
	}
	there := path.Join(dir, "ci-disagg-"+sum[:16])
	sums, err := h.Checksum(ctx, there)
	if err != nil {
		return "", err
	}
	if sums[there] == sum {
		return there, nil
	}
	f, err := os.Open(local)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	const script = `set -e; umask 077; mkdir -p -- "$1"; t="$1/.copy.$$"; trap 'rm -f -- "$t"' EXIT; cat > "$t"; chmod 0700 "$t"; mv -f -- "$t" "$2"`
	r, err := h.Run(ctx, Cmd{Argv: []string{"sh", "-c", script, "sh", dir, there}, Stdin: f, Timeout: 10 * time.Minute})
	if err := failed("copy "+local+" to "+h.Name(), r, err); err != nil {
		return "", err
	}
	sums, err = h.Checksum(ctx, there)
	if err != nil {
		return "", err
	}
	if sums[there] != sum {
		return "", fmt.Errorf("%s:%s differs from %s after the copy", h.Name(), there, local)
	}
	return there, nil
}

// LinkBinary gives an installed binary another name in dir, which keeps it when the
// first one goes, and returns that.
func LinkBinary(ctx context.Context, h Host, installed, dir string) (string, error) {
	mine := path.Join(dir, path.Base(installed))
	const script = `set -e; [ ! -e "$2" ] || exit 0; umask 077; mkdir -p -- "${2%/*}"; ln -- "$1" "$2" 2>/dev/null || { cp -- "$1" "$2.$$"; mv -f -- "$2.$$" "$2"; }`
	r, err := h.Run(ctx, Cmd{Argv: []string{"sh", "-c", script, "sh", installed, mine}})
	return mine, failed("link "+installed+" to "+mine+" on "+h.Name(), r, err)
}
