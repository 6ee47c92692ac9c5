package host

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// readParts prints a line per file that is there: its number, what was read in base64, and ! if that could not be done;
// or its number and ! with why it is not known what is there. $1 is the bound, then come the offset, the directory in
// two parts, and the name.
const readParts = into + `most=$1; shift; i=0; exec 3>&1
while [ $# -gt 0 ]; do
  into "$2" "$3" 2>/dev/null; in=$?
  if [ $in = 0 ] && { [ -h "./$4" ] || [ ! -f "./$4" ]; }; then unlike "./$4" "$2${3:+/$3}/$4" 'regular file'; in=$?; fi
  case $in in
  2) ;;
  0)
    printf '%d ' $i
    end=$( { { dd if="./$4" iflag=nofollow,nonblock,fullblock,skip_bytes,count_bytes bs=64K skip="$1" count="$most" 2>/dev/null; echo $? >&4; } |
      base64 | tr -d '\n' >&3; } 4>&1 )
    [ "$end" = 0 ] && echo || echo ' !';;
  *) printf '%d !%s\n' $i "$(printf '%d %s' $in "$why" | base64 | tr -d '\n')";;
  esac
  i=$((i+1)); shift 4
done`

// ReadAt fetches parts of files in one call.
func (s *SSH) ReadAt(ctx context.Context, most int, from map[string]int64) (map[string][]byte, error) {
	return s.readParts(ctx, most, from)
}

// Read fetches small files.
func (s *SSH) Read(ctx context.Context, most int64, paths ...string) (map[string][]byte, error) {
	from := make(map[string]int64, len(paths))
	for _, p := range paths {
		from[p] = 0
	}
	got, err := s.readParts(ctx, int(most)+1, from)
	unread := UnreadError{}
	if err != nil && !errors.As(err, &unread) {
		return nil, err
	}
	for p, data := range got {
		if int64(len(data)) > most {
			delete(got, p)
			unread[p] = fmt.Errorf("%s is longer than %d bytes", p, most)
		}
	}
	return got, unread.orNil()
}

func (s *SSH) readParts(ctx context.Context, most int, from map[string]int64) (map[string][]byte, error) {
	out := map[string][]byte{}
	if len(from) == 0 {
		return out, nil
	}
	argv := []string{"sh", "-c", readParts, "sh", strconv.Itoa(most)}
	paths := make([]string, 0, len(from))
	for p, off := range from {
		top, rel, name := cutFile(p)
		argv = append(argv, strconv.FormatInt(off, 10), top, rel, name)
		paths = append(paths, p)
	}
	r, err := s.Run(ctx, Cmd{Argv: argv, MaxOutput: 2 * (most + 64) * len(from)})
	if err := failed("read from "+s.Name(), r, err); err != nil {
		return nil, err
	}
	return out, parseParts(r.Stdout, paths, out)
}

// parseParts reads "number base64" lines into out under the paths' names. One that ends with ! is of a file that could
// not be read; one that begins so tells why.
func parseParts(text []byte, paths []string, out map[string][]byte) error {
	unread := UnreadError{}
	for line := range bytes.SplitSeq(bytes.TrimSpace(text), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		num, b64, _ := bytes.Cut(line, []byte(" "))
		b64, bad := bytes.CutSuffix(b64, []byte(" !"))
		b64, unknown := bytes.CutPrefix(b64, []byte("!"))
		i, err := strconv.Atoi(string(num))
		if err != nil || i < 0 || i >= len(paths) {
			return fmt.Errorf("unexpected answer %.60q", line)
		}
		if bad {
			unread[paths[i]] = errors.New(paths[i])
			continue
		}
		data, err := base64.StdEncoding.DecodeString(string(b64))
		if err != nil {
			return fmt.Errorf("part of %s: %w", paths[i], err)
		}
		if unknown {
			unread[paths[i]] = unlike(string(data))
			continue
		}
		out[paths[i]] = data
	}
	return unread.orNil()
}

// unlike is an exit code of into, and what it says then.
func unlike(told string) error {
	code, why, _ := strings.Cut(told, " ")
	if code == strconv.Itoa(planted) {
		return standing(why)
	}
	return errors.New(why)
}
