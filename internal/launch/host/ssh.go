package host

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// SSHConfig says how a login node is reached. Everything else (user, port, keys,
// jump hosts, known_hosts) is the business of the user's ssh configuration.
type SSHConfig struct {
	Dest    string   // user@host or a name from ssh's configuration
	Options []string // further arguments of ssh, before the destination
	Env     []string // environment of ssh here: SSH_AUTH_SOCK, HOME, PATH
	Shared  bool     // the run directory is seen there under the same path

	Connect time.Duration // for the connection to be made; half of it from one sign of life to the next; 0 = 10 s
}

// SSH is a login node, reached over one multiplexed connection.
type SSH struct {
	cfg SSHConfig
	dir string // holds the control socket

	mu sync.Mutex
	up bool // the shared connection has been made
}

// NewSSH makes the host behind a login node. Nothing is connected yet.
func NewSSH(c SSHConfig) (*SSH, error) {
	if c.Dest == "" || strings.HasPrefix(c.Dest, "-") || strings.ContainsAny(c.Dest, " \t\n\x00") {
		return nil, fmt.Errorf("login: %q is not user@host", c.Dest)
	}
	// Not in TMPDIR: a socket's path is short, and ssh reads blanks and % in it.
	dir, err := os.MkdirTemp("/tmp", "cid-ssh-")
	if err != nil {
		return nil, err
	}
	c.Env = proc.WithoutJenkins(c.Env) // an aborted build must not lose its connection before its jobs are cancelled
	c.Connect = cmp.Or(c.Connect, 10*time.Second)
	return &SSH{cfg: c, dir: dir}, nil
}

// Name is the destination.
func (s *SSH) Name() string { return s.cfg.Dest }

// Shared is as configured.
func (s *SSH) Shared() bool { return s.cfg.Shared }

// Close ends the shared connection.
func (s *SSH) Close() error {
	argv := append(s.argv(true), "-O", "exit", "--", s.cfg.Dest)
	_, _ = proc.Run(context.Background(), proc.Command{Argv: argv, Env: s.cfg.Env, Timeout: 5 * time.Second})
	return os.RemoveAll(s.dir)
}

// argv is ssh with its options, without destination. A call that must not depend
// on the shared connection (which may hang on a dead network) opens its own.
func (s *SSH) argv(shared bool) []string {
	seconds := int(s.cfg.Connect.Seconds())
	argv := []string{
		"ssh", "-T", "-o", "BatchMode=yes", "-o", fmt.Sprint("ConnectTimeout=", seconds),
		"-o", fmt.Sprint("ServerAliveInterval=", seconds/2), "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR",
	}
	if shared {
		argv = append(argv, "-o", "ControlMaster=auto", "-o", "ControlPersist=120", "-o", "ControlPath="+filepath.Join(s.dir, "%C"))
	} else {
		argv = append(argv, "-o", "ControlMaster=no", "-o", "ControlPath=none")
	}
	return append(argv, s.cfg.Options...)
}

// Run runs one command on the login node. The command line reaches the remote sh
// through stdin, so the environment appears in no argument, here or there, and
// the user's login shell has nothing of ours to interpret.
// The output is framed, so that what a login script prints is not taken for the
// command's, and a connection that breaks is not taken for the command's end.
func (s *SSH) Run(ctx context.Context, c Cmd) (Result, error) {
	shared := !c.Fresh
	mark := newMark()
	script, err := remoteScript(c, mark)
	if err != nil {
		return Result{Exit: -1}, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	if c.MaxOutput <= 0 {
		c.MaxOutput = defaultMaxOutput
	}
	if shared {
		s.connect(ctx)
	}
	res, err := run(ctx, s.local(c), s.command(c, script, shared))
	return unframe(res, err, mark)
}

// connect makes the shared connection, once: of several commands that start at the
// same moment each would make its own. That it fails shows in the command itself.
func (s *SSH) connect(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up {
		return
	}
	argv := append(s.argv(true), "--", s.cfg.Dest, "true")
	_, err := proc.Run(ctx, proc.Command{Argv: argv, Env: s.cfg.Env, Timeout: s.cfg.Connect * 3 / 2, WaitDelay: 200 * time.Millisecond})
	s.up = err == nil
}

// command is the ssh that hands script to the remote sh. A shell may read more
// of its stdin than it needs (dash does), so head takes exactly the script and
// leaves the rest to the command; the quoted words mean the same to every login
// shell.
func (s *SSH) command(c Cmd, script string, shared bool) proc.Command {
	stdin := io.Reader(strings.NewReader(script))
	if c.Stdin != nil {
		stdin = io.MultiReader(stdin, c.Stdin)
	}
	remote := fmt.Sprintf(`sh -c 'eval "$(head -c %d)"'`, len(script))
	return proc.Command{
		Argv: append(s.argv(shared), "--", s.cfg.Dest, remote), Env: s.cfg.Env, Stdin: stdin,
		WaitDelay: 500 * time.Millisecond,
	}
}

// local is c as bounds for the ssh process here: the far end cuts first.
func (s *SSH) local(c Cmd) Cmd {
	c.MaxOutput += frameRoom
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	c.Timeout += 2 * time.Second
	return c
}

// frameRoom is what framing and a chatty login script may add to the output.
const frameRoom = 64 << 10

func newMark() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return "ci-disagg-" + hex.EncodeToString(b[:])
}

// timeoutExit is what coreutils' timeout exits with when it had to end the
// command; 137 when it had to kill it.
const timeoutExit = 124

// remoteScript is what the remote sh evaluates.
func remoteScript(c Cmd, mark string) (string, error) {
	var b strings.Builder
	b.WriteString("{ ")
	writeUnset(&b, c.Unset, c.Keep)
	for _, e := range c.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || !syntax.ValidName(name) {
			return "", fmt.Errorf("environment: %q is not NAME=value", name)
		}
		q, err := quote(value)
		if err != nil {
			return "", fmt.Errorf("environment %s: %w", name, err)
		}
		fmt.Fprintf(&b, "export %s=%s; ", name, q)
	}
	if c.Dir != "" {
		q, err := quote(c.Dir)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "cd -- %s || exit 1; ", q)
	}
	words := make([]string, len(c.Argv))
	for i, a := range c.Argv {
		q, err := quote(a)
		if err != nil {
			return "", err
		}
		words[i] = q
	}
	limit := c.Timeout
	if limit <= 0 {
		limit = defaultTimeout
	}
	fmt.Fprintf(&b, "printf '%%s\\n' %s; ", mark)
	fmt.Fprintf(&b, "if command -v timeout >/dev/null 2>&1; then timeout -k 2 %d %s; else %s; fi; ",
		int(limit.Seconds()+0.999), strings.Join(words, " "), strings.Join(words, " "))
	fmt.Fprintf(&b, "printf '%s %%d' $?; exit 0; }", mark)
	return b.String(), nil
}

// writeUnset removes variables; a prefix is matched against the remote
// environment, whose names alone are read.
func writeUnset(b *strings.Builder, unset, keep []string) {
	for _, u := range unset {
		if prefix, star := strings.CutSuffix(u, "*"); star {
			skip := ""
			for _, k := range keep {
				if strings.HasPrefix(k, prefix) {
					skip += k + ") ;; "
				}
			}
			fmt.Fprintf(b, "for cid_v in $(env | sed -n 's/^\\(%s[A-Za-z0-9_]*\\)=.*/\\1/p'); do case $cid_v in %s*) unset \"$cid_v\";; esac; done; ", prefix, skip)
			continue
		}
		fmt.Fprintf(b, "unset %s; ", u)
	}
}

// quote quotes one word for a POSIX shell. A newline is fine inside single
// quotes; only NUL cannot be part of a word.
func quote(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errors.New("a NUL byte cannot be part of a command")
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

// unframe cuts the command's own output and exit code out of what ssh printed.
func unframe(res Result, err error, mark string) (Result, error) {
	out := res.Stdout
	begin := bytes.Index(out, []byte(mark+"\n"))
	if begin < 0 {
		if err == nil {
			err = fmt.Errorf("ssh exit %d: %s", res.Exit, strings.TrimSpace(string(res.Stderr)))
		}
		if res.Exit == sshFailed { // ssh's own failure, before the remote sh said anything
			return Result{Stderr: res.Stderr, Exit: -1}, fmt.Errorf("%w: %w: %w", ErrNotStarted, ErrUnreachable, err)
		}
		return Result{Stderr: res.Stderr, Exit: -1}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	out = out[begin+len(mark)+1:]
	end := bytes.LastIndex(out, []byte(mark+" "))
	if end < 0 {
		if err == nil {
			err = fmt.Errorf("the connection ended before the command did: ssh exit %d: %s", res.Exit, strings.TrimSpace(string(res.Stderr)))
		}
		return Result{Stdout: out, Stderr: res.Stderr, Exit: -1}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	code, convErr := strconv.Atoi(string(out[end+len(mark)+1:]))
	if convErr != nil {
		return Result{Stderr: res.Stderr, Exit: -1}, fmt.Errorf("%w: cut off while it told the exit code", ErrUnreachable)
	}
	r := Result{Stdout: out[:end], Stderr: res.Stderr, Exit: code}
	if code == timeoutExit || code == 128+9 {
		return r, fmt.Errorf("no end in time on the login node: %w", context.DeadlineExceeded)
	}
	if code == 126 || code == 127 {
		return r, fmt.Errorf("%w: %s", ErrNotStarted, strings.TrimSpace(string(res.Stderr)))
	}
	return r, nil
}

// sshFailed is ssh's exit code for its own errors.
const sshFailed = 255
