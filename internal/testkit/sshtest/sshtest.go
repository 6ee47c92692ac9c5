// Package sshtest gives a test a login node: a real sshd on this machine, in a mount namespace of its own when its file
// system is to differ from the test's.
//
// In: Options. Out: a running Server with the ssh options that reach it. It needs root (for the namespace), Debian's
// openssh-server and openssh-client; what is missing is a failure that names it, never a skip. The package is for tests
// only and is imported by nothing else.
package sshtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/ports"
)

// Options say what login node is wanted.
type Options struct {
	// Apart gives sshd a mount namespace with an empty /tmp of its own.
	Apart bool
	// Env is the environment of its sessions, NAME=value.
	Env []string
	// Chatter is printed by the login shell before every command, as login scripts do.
	Chatter string
}

// Server is a running sshd.
type Server struct {
	Dest    string   // user@host
	Options []string // arguments for ssh
	Dir     string   // keys, configuration, log

	t    testing.TB
	o    Options
	port int

	mu  sync.Mutex
	cmd *exec.Cmd // nil while sshd is down
}

// Start starts an sshd on a free port of the loopback address. It ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	need.Programs(t, "openssh-server openssh-client util-linux", "/usr/sbin/sshd", "ssh", "ssh-keygen", "unshare")
	// Not below /tmp, which may be hidden from sshd.
	dir, err := os.MkdirTemp("/var/tmp", "sshtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	port, lock, err := ports.Range{Name: "sshtest", From: 3000, To: 4000, N: 1}.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	s := &Server{Dest: self.Username + "@127.0.0.1", Dir: dir, t: t, o: o, port: port}
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.keys()
	s.config()
	s.Options = []string{
		"-F", "none", "-p", strconv.Itoa(s.port), "-i", filepath.Join(dir, "key"), "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"), "-o", "GlobalKnownHostsFile=/dev/null",
	}
	s.Up()
	t.Cleanup(s.Down)
	return s
}

func (s *Server) keys() {
	s.t.Helper()
	for _, name := range []string{"host", "key"} {
		cmd := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.Dir, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	host, err := os.ReadFile(filepath.Join(s.Dir, "host.pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", s.port, host))
	key, err := os.ReadFile(filepath.Join(s.Dir, "key.pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("authorized_keys", string(key))
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) config() {
	var b strings.Builder
	fmt.Fprintf(&b, `ListenAddress 127.0.0.1
Port %d
HostKey %s/host
AuthorizedKeysFile %s/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
MaxSessions 64
MaxStartups 100
PidFile none
`, s.port, s.Dir, s.Dir)
	// SetEnv takes all of its variables on one line: the first SetEnv wins. The home is an empty one: bash reads .bashrc
	// for every command that comes through ssh, and in that of whoever runs the tests stands what it likes.
	fmt.Fprintf(&b, "SetEnv \"HOME=%s/home\"", s.Dir)
	for _, e := range s.o.Env {
		fmt.Fprintf(&b, " \"%s\"", e)
	}
	b.WriteString("\n")
	if s.o.Chatter != "" {
		s.write("chatter", "echo '"+s.o.Chatter+"'\neval \"$SSH_ORIGINAL_COMMAND\"\n")
		fmt.Fprintf(&b, "ForceCommand /bin/sh %s/chatter\n", s.Dir)
	}
	s.write("sshd_config", b.String())
}

// Up starts sshd, and waits until it answers.
func (s *Server) Up() {
	s.t.Helper()
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	argv := []string{"/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(s.Dir, "sshd_config")}
	if s.o.Apart {
		argv = apart(argv)
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	for range 3600 { // three minutes
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	s.t.Fatalf("sshtest: sshd does not answer:\n%s", text)
}

// apart gives a command a /tmp of its own. Who is not root becomes it among users of his own, mounts, and turns back.
func apart(argv []string) []string {
	namespace := []string{"unshare", "--mount", "--propagation", "private"}
	back := ""
	if os.Geteuid() != 0 {
		namespace = append(namespace, "--user", "--map-root-user")
		back = fmt.Sprintf("unshare --user --map-user=%d --map-group=%d ", os.Geteuid(), os.Getegid())
	}
	return append(append(namespace, "sh", "-c", "mount -t tmpfs far /tmp && exec "+back+`"$@"`, "sh"), argv...)
}

// Down ends sshd and every session of it: the login node goes away.
func (s *Server) Down() {
	s.mu.Lock()
	cmd := s.cmd
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s.DropSessions()
}

// DropSessions ends the connections that are open, as a network does. Commands that run in them go on or end as they
// like.
func (s *Server) DropSessions() {
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Fatal(err)
	}
	inodes := s.sockets()
	listener := 0
	s.mu.Lock()
	if s.cmd != nil {
		listener = s.cmd.Process.Pid
	}
	s.mu.Unlock()
	for _, p := range procs {
		name, err := os.ReadFile(p)
		// Since OpenSSH 9.8 it is sshd-session.
		if err != nil || !bytes.HasPrefix(name, []byte("sshd: ")) && !bytes.HasPrefix(name, []byte("sshd-session: ")) {
			continue
		}
		dir := filepath.Dir(p)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == listener {
			continue
		}
		fds, _ := os.ReadDir(filepath.Join(dir, "fd"))
		for _, fd := range fds {
			if to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil && inodes[to] {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

// sockets are the open connections to our port, as /proc names them.
func (s *Server) sockets() map[string]bool {
	found := map[string]bool{}
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", s.port)) {
			found["socket:["+f[9]+"]"] = true
		}
	}
	return found
}

// Log is what sshd has said.
func (s *Server) Log() string {
	data, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return string(data)
}
