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
	"slices"
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
	if r.Exit == planted {
		return fmt.Errorf("%s: %w", what, standing(string(r.Stderr)))
	}
	if r.Exit != 0 {
		return fmt.Errorf("%s: exit %d: %s", what, r.Exit, strings.TrimSpace(string(r.Stderr)))
	}
	return nil
}

// Push sends local files as one tar stream. What it overwrites is replaced by
// rename (tar unlinks first), never rewritten in place.
func (s *SSH) Push(ctx context.Context, localDir, dir string, paths []string) error {
	const script = into + `top=$1 rel=$2; shift 2
mkdir -p -m 0700 -- "$top" || exit
for p; do ( into "$top" "$rel${p:+/$p}" make ) || exit; done
into "$top" "$rel" make && exec tar -x -p --unlink-first -f -`
	top, rel := cut(dir)
	argv := []string{"sh", "-c", script, "sh", top, rel, ""}
	for _, p := range paths {
		if parent := path.Dir(filepath.ToSlash(p)); parent != "." && !slices.Contains(argv[6:], parent) {
			argv = append(argv, parent)
		}
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(writeTar(pw, localDir, paths)) }()
	r, err := s.Run(ctx, Cmd{Argv: argv, Stdin: pr, Timeout: fileTimeout})
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
	const script = into + `into "$1" "$2" && { { find . -maxdepth 1 -type f -printf "$4"; a=$?; find . -mindepth 2 -type f -printf "$4" && [ $a = 0 ]; } 2>/dev/null || printf '!\0'; } | head -z -n "$3"`
	top, rel := cut(dir)
	r, err := s.Run(ctx, Cmd{
		Argv:      []string{"sh", "-c", script, "sh", top, rel, strconv.Itoa(limit + 1), `%s %T@ %P\0`},
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
	const script = into + `into "$1" "$2" && exec tar -c --hard-dereference -f - --null --verbatim-files-from -T -`
	top, rel := cut(dir)
	err := s.untar(ctx, []string{"sh", "-c", script, "sh", top, rel}, paths,
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

// untar runs a tar that reads NUL-separated names from stdin and hands every
// regular file of its output to each.
func (s *SSH) untar(ctx context.Context, argv, paths []string, each func(*tar.Header, io.Reader) error) error {
	mark := newMark()
	c := Cmd{Argv: argv, Stdin: strings.NewReader(strings.Join(paths, "\x00") + "\x00"), Timeout: fileTimeout, Env: []string{"LC_ALL=C"}}
	script, err := remoteScript(c, mark)
	if err != nil {
		return err
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
	switch {
	case readErr != nil && code < 0 && runErr != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, runErr)
	case readErr != nil && code < 0:
		return fmt.Errorf("%w: %w", ErrUnreachable, readErr)
	case readErr != nil:
		return readErr
	case code > 1: // tar goes on after what it cannot read; 1 = a file changed while it was read, told by its checksum
		return fmt.Errorf("tar: exit %d: %s: %w", code, strings.TrimSpace(stderr), ErrUnread)
	}
	return nil
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

// Checksum asks for the SHA-256 of files, a line each.
func (s *SSH) Checksum(ctx context.Context, paths ...string) (map[string]string, error) {
	out := map[string]string{}
	if len(paths) == 0 {
		return out, nil
	}
	const script = into + `was=
while IFS= read -r t && IFS= read -r d && IFS= read -r n; do
  [ "$t/$d" = "$was" ] || { was=; into "$t" "$d" 2>/dev/null && was=$t/$d; }
  [ -n "$was" ] && [ -f "./$n" ] && [ ! -h "./$n" ] && sha256sum < "./$n" 2>/dev/null || echo none
done`
	var names strings.Builder
	for _, p := range paths {
		if strings.ContainsRune(p, '\n') {
			return nil, fmt.Errorf("file name %q holds a newline", p)
		}
		top, rel, name := cutFile(p)
		fmt.Fprintf(&names, "%s\n%s\n%s\n", top, rel, name)
	}
	r, err := s.Run(ctx, Cmd{Argv: []string{"sh", "-c", script}, Stdin: strings.NewReader(names.String()), Timeout: fileTimeout})
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
