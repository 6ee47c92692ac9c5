package host

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// fileTimeout bounds one transfer.
const fileTimeout = 30 * time.Minute

// failed turns a non-zero exit into an error.
func failed(what string, r Result, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if r.Exit != 0 {
		return fmt.Errorf("%s: exit %d: %s", what, r.Exit, strings.TrimSpace(string(r.Stderr)))
	}
	return nil
}

// Push sends local files as one tar stream. What it overwrites is replaced by
// rename (tar unlinks first), never rewritten in place.
func (s *SSH) Push(ctx context.Context, localDir, dir string, paths []string) error {
	r, err := s.Run(ctx, Cmd{Argv: []string{"mkdir", "-p", "-m", "0700", "--", dir}})
	if err := failed("mkdir "+dir, r, err); err != nil || len(paths) == 0 {
		return err
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(writeTar(pw, localDir, paths)) }()
	r, err = s.Run(ctx, Cmd{Argv: []string{"tar", "-x", "-p", "--unlink-first", "-f", "-", "-C", dir}, Stdin: pr, Timeout: fileTimeout})
	_ = pr.CloseWithError(errors.New("tar has ended"))
	return failed("copy to "+s.Name()+":"+dir, r, err)
}

func writeTar(w io.Writer, dir string, paths []string) error {
	tw := tar.NewWriter(w)
	for _, p := range paths {
		if !filepath.IsLocal(p) {
			return fmt.Errorf("path %q leads out of its directory", p)
		}
		if err := tarFile(tw, filepath.Join(dir, p), filepath.ToSlash(p)); err != nil {
			return err
		}
	}
	return tw.Close()
}

func tarFile(tw *tar.Writer, file, name string) error {
	f, err := openRegular(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: int64(st.Mode().Perm()), ModTime: st.ModTime()}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(tw, io.LimitReader(f, st.Size()))
	return err
}

// List lists the regular files below dir with find, whose output is separated by
// NUL: a file name may hold anything else. The record unseen says that find could not see everything.
func (s *SSH) List(ctx context.Context, dir string, limit int) ([]FileInfo, error) {
	const script = `cd -- "$1" && { { find . -maxdepth 1 -type f -printf "$3"; a=$?; find . -mindepth 2 -type f -printf "$3" && [ $a = 0 ]; } 2>/dev/null || printf '!\0'; } | head -z -n "$2"`
	r, err := s.Run(ctx, Cmd{
		Argv:      []string{"sh", "-c", script, "sh", path.Clean(dir), strconv.Itoa(limit + 1), `%s %T@ %P\0`},
		MaxOutput: 64 << 20, Timeout: fileTimeout,
	})
	if err := failed("list "+s.Name()+":"+dir, r, err); err != nil {
		return nil, err
	}
	return parseFind(r.Stdout, limit)
}

// unseen is the record that stands for what find could not see.
const unseen = "!"

func parseFind(out []byte, limit int) ([]FileInfo, error) {
	var files []FileInfo
	var partial error
	for rec := range bytes.SplitSeq(out, []byte{0}) {
		if len(rec) == 0 {
			continue
		}
		if string(rec) == unseen {
			partial = fmt.Errorf("%w: find could not read all directories", ErrPartial)
			continue
		}
		part := strings.SplitN(string(rec), " ", 3)
		if len(part) != 3 || !filepath.IsLocal(part[2]) {
			return nil, fmt.Errorf("find answered %.100q", rec)
		}
		size, err1 := strconv.ParseInt(part[0], 10, 64)
		sec, err2 := strconv.ParseFloat(part[1], 64)
		if err1 != nil || err2 != nil || size < 0 {
			return nil, fmt.Errorf("find answered %.100q", rec)
		}
		if len(files) >= limit {
			return files, fmt.Errorf("%w: there are more than %d", ErrPartial, limit)
		}
		files = append(files, FileInfo{Path: part[2], Size: size, MTime: time.UnixMicro(int64(sec * 1e6))})
	}
	return files, partial
}

// Pull fetches files as one tar stream and writes each by rename. Two names of one
// file are two files: a role's log has a second one.
func (s *SSH) Pull(ctx context.Context, dir, localDir string, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	_, err := s.untar(ctx, []string{"tar", "-c", "--hard-dereference", "-f", "-", "-C", dir, "--null", "--verbatim-files-from", "-T", "-"}, paths,
		func(h *tar.Header, r io.Reader) error {
			if !filepath.IsLocal(h.Name) {
				return fmt.Errorf("tar holds %q, which leads out of its directory", h.Name)
			}
			return rundir.WriteStream(filepath.Join(localDir, h.Name), rundir.FileMode, func(w io.Writer) error {
				_, err := io.Copy(w, r)
				return err
			})
		})
	if err != nil {
		return fmt.Errorf("copy from %s:%s: %w", s.Name(), dir, err)
	}
	return nil
}

// Read fetches small files as one tar stream. tar reports a file that is not
// there and goes on.
func (s *SSH) Read(ctx context.Context, most int64, paths ...string) (map[string][]byte, error) {
	out := map[string][]byte{}
	if len(paths) == 0 {
		return out, nil
	}
	missing, err := s.untar(ctx, []string{"tar", "-c", "-P", "-f", "-", "--null", "--verbatim-files-from", "-T", "-"}, paths,
		func(h *tar.Header, r io.Reader) error {
			if h.Size > most {
				return fmt.Errorf("%s is longer than %d bytes", h.Name, most)
			}
			data, err := io.ReadAll(r)
			out[h.Name] = data
			return err
		})
	if missing && err != nil && ctx.Err() == nil && !errors.Is(err, ErrUnreachable) {
		return out, nil
	}
	return out, err
}

// untar runs a tar that reads NUL-separated names from stdin and hands every
// regular file of its output to each. missing says that tar complained of a file
// that is not there.
func (s *SSH) untar(ctx context.Context, argv, paths []string, each func(*tar.Header, io.Reader) error) (missing bool, err error) {
	mark := newMark()
	c := Cmd{Argv: argv, Stdin: strings.NewReader(strings.Join(paths, "\x00") + "\x00"), Timeout: fileTimeout, Env: []string{"LC_ALL=C"}}
	script, err := remoteScript(c, mark)
	if err != nil {
		return false, err
	}
	s.connect(ctx)
	pr, pw := io.Pipe()
	cmd := s.command(c, script, true)
	cmd.Stdout, cmd.Timeout = pw, s.local(c).Timeout
	end := make(chan error, 1)
	var stderr string
	go func() {
		res, err := proc.Run(ctx, cmd)
		stderr = res.Stderr
		pw.CloseWithError(io.EOF)
		end <- err
	}()
	code, readErr := readFramedTar(pr, mark, each)
	_ = pr.CloseWithError(errors.New("not read further"))
	runErr := <-end
	missing = strings.Contains(stderr, "No such file or directory")
	switch {
	case readErr != nil && code < 0 && runErr != nil:
		return missing, fmt.Errorf("%w: %w", ErrUnreachable, runErr)
	case readErr != nil && code < 0:
		return missing, fmt.Errorf("%w: %w", ErrUnreachable, readErr)
	case readErr != nil:
		return missing, readErr
	case code > 1: // tar goes on after what it cannot read; 1 = a file changed while it was read, told by its checksum
		return missing, fmt.Errorf("tar: exit %d: %s: %w", code, strings.TrimSpace(stderr), ErrUnread)
	}
	return missing, nil
}

// readFramedTar reads mark line, tar stream, mark and exit code. code is -1 as
// long as the stream has not been read to its end.
func readFramedTar(r io.Reader, mark string, each func(*tar.Header, io.Reader) error) (code int, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	if err := skipTo(br, mark); err != nil {
		return -1, err
	}
	tr := tar.NewReader(br)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return -1, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := each(h, tr); err != nil {
			return 0, err
		}
	}
	rest, err := io.ReadAll(io.LimitReader(br, 1<<20)) // tar pads to 10 KiB
	if err != nil {
		return -1, err
	}
	i := bytes.LastIndex(rest, []byte(mark+" "))
	if i < 0 {
		return -1, io.ErrUnexpectedEOF
	}
	return strconv.Atoi(string(rest[i+len(mark)+1:]))
}

// skipTo reads up to and including the line mark; what a login script printed
// before it is dropped.
func skipTo(br *bufio.Reader, mark string) error {
	for n := 0; n < frameRoom; {
		line, err := br.ReadString('\n')
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if strings.HasSuffix(line, mark+"\n") {
			return nil
		}
		n += len(line)
	}
	return errors.New("the login node prints too much before a command")
}

// ReadAt fetches parts of files in one call, each framed by its number and its
// size.
func (s *SSH) ReadAt(ctx context.Context, most int, from map[string]int64) (map[string][]byte, error) {
	out := map[string][]byte{}
	if len(from) == 0 {
		return out, nil
	}
	// $1 is the bound, then come pairs of offset (from 1, as tail counts) and path.
	const script = `most=$1; shift; i=0
while [ $# -gt 0 ]; do
  if [ -f "$2" ] && [ ! -h "$2" ]; then
    printf '%d ' $i; tail -c "+$1" -- "$2" 2>/dev/null | head -c "$most" | base64 | tr -d '\n'; printf '\n'
  fi
  i=$((i+1)); shift 2
done`
	argv := []string{"sh", "-c", script, "sh", strconv.Itoa(most)}
	paths := make([]string, 0, len(from))
	for p, off := range from {
		argv = append(argv, strconv.FormatInt(off+1, 10), p)
		paths = append(paths, p)
	}
	r, err := s.Run(ctx, Cmd{Argv: argv, MaxOutput: 2 * (most + 64) * len(from)})
	if err := failed("read from "+s.Name(), r, err); err != nil {
		return nil, err
	}
	return out, parseParts(r.Stdout, paths, out)
}

// Checksum asks for the SHA-256 of files, a line each.
func (s *SSH) Checksum(ctx context.Context, paths ...string) (map[string]string, error) {
	out := map[string]string{}
	if len(paths) == 0 {
		return out, nil
	}
	const script = `while IFS= read -r p; do [ -f "$p" ] && [ ! -h "$p" ] && sha256sum < "$p" 2>/dev/null || echo none; done`
	for _, p := range paths {
		if strings.ContainsRune(p, '\n') {
			return nil, fmt.Errorf("file name %q holds a newline", p)
		}
	}
	r, err := s.Run(ctx, Cmd{Argv: []string{"sh", "-c", script}, Stdin: strings.NewReader(strings.Join(paths, "\n") + "\n"), Timeout: fileTimeout})
	if err := failed("sha256sum on "+s.Name(), r, err); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(r.Stdout)), "\n")
	if len(lines) != len(paths) {
		return nil, fmt.Errorf("sha256sum on %s: %d answers for %d files", s.Name(), len(lines), len(paths))
	}
	for i, p := range paths {
		if sum, _, _ := strings.Cut(lines[i], " "); len(sum) == 64 {
			out[p] = sum
		}
	}
	return out, nil
}
