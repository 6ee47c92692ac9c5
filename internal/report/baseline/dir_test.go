package baseline_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestDirLayoutIsReadable(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	s := open(t, "dir:"+root)
	r := nightly("case-a", 1, 100)
	pr := nightly("case-a", 1, 100)
	pr.Build.Mode = "pr"
	pr = pr.Normal()
	accept := act(baseline.KindAccept, r)
	save(t, s, r, pr, accept)
	var files []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, root+"/"))
		}
		return err
	}))
	key := baseline.MatchKey(r.Match)
	require.True(t, strings.HasPrefix(key, "gb200-"), key)
	require.ElementsMatch(t, []string{
		"ci-disagg-store.json",
		"cases/case-a/" + key + "/series.json",
		"cases/case-a/" + key + "/branch-main/2026-08/" + r.ID + ".json",
		"cases/case-a/" + key + "/pr/2026-08/" + pr.ID + ".json",
		"cases/case-a/" + key + "/acts/2026-08/" + accept.ID + ".json",
	}, files)
}

func TestTornAndForeignFilesAreSaid(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	s := open(t, "dir:"+root)
	var all []baseline.Record
	for i := range 12 {
		all = append(all, nightly("c", i, 100))
	}
	save(t, s, all...)
	month := filepath.Join(root, "cases/c", baseline.MatchKey(all[0].Match), "branch-main/2026-08")
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(month, name), []byte(content), 0o600))
	}
	whole, err := os.ReadFile(filepath.Join(month, all[3].ID+".json"))
	require.NoError(t, err)
	write(all[3].ID+".json", string(whole[:len(whole)/2])) // torn
	write(all[4].ID+".json", "")                           // empty after a crash
	write(all[5].ID+".json", string(whole))                // a copy under another name
	write("notes.txt", "foreign")
	write("."+all[6].ID+".json.tmp-1", "{") // another writer, right now
	write(".nfs0001", "")
	require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(month), "old"), 0o700))

	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: all[0].Match})
	require.NoError(t, err)
	want := append(ids(all[:3]), ids(all[6:])...)
	require.Equal(t, want, ids(h.Runs))
	text := strings.Join(h.Warnings, "\n")
	require.Len(t, h.Warnings, 5, text)
	for _, s := range []string{all[3].ID + ".json is left out: not complete JSON", all[4].ID, "it holds the record " + all[3].ID, "notes.txt is left out: not a record", "old is left out: not a month"} {
		require.Contains(t, text, s)
	}

	n, err := s.Delete(t.Context(), baseline.Filter{Before: day(100)})
	require.NoError(t, err)
	require.Equal(t, 9, n)
	require.FileExists(t, filepath.Join(month, "."+all[6].ID+".json.tmp-1"), "its writer may be alive")
	_, err = s.Delete(t.Context(), baseline.Filter{Before: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(month, "."+all[6].ID+".json.tmp-1"))
	require.FileExists(t, filepath.Join(month, "notes.txt"), "what is no record is nobody's to remove")

	for i := range 3 {
		write(nightly("c", i, 100).ID+".json", "torn")
	}
	_, err = s.History(t.Context(), baseline.Query{Case: "c", Match: all[0].Match})
	require.ErrorAs(t, err, new(*baseline.UnavailableError), "more is broken than readable")
}

func TestDirIsNotMadeOfOtherThings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Jenkinsfile"), nil, 0o600))
	_, err := baseline.Open(t.Context(), "dir:"+dir, true)
	require.ErrorContains(t, err, "holds other things (Jenkinsfile)")
	_, err = baseline.Open(t.Context(), "dir:"+filepath.Join(dir, "Jenkinsfile"), true)
	require.Error(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "Jenkinsfile")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".snapshot"), 0o700))
	_, err = baseline.Create(t.Context(), "dir:"+dir)
	require.NoError(t, err)
	_, err = baseline.Open(t.Context(), "dir:"+dir, false)
	require.NoError(t, err)
}

// An empty mount point, and a store that lost its marker, are made a store by nobody who does not ask for it.
func TestOnlyWhoAsksAdoptsADirectory(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	marker := filepath.Join(root, "ci-disagg-store.json")
	refused := func() {
		_, err := baseline.Open(t.Context(), "dir:"+root, true)
		require.True(t, baseline.IsUnavailable(err), "%v", err)
		require.ErrorContains(t, err, "not mounted, or it is no store yet; ci-disagg plan --create-store makes it one")
		require.NoFileExists(t, marker)
	}
	require.NoError(t, os.Mkdir(root, 0o700))
	refused()
	require.NoError(t, os.Remove(root))
	s := open(t, "dir:"+root)
	save(t, s, nightly("c", 1, 100))
	require.NoError(t, os.Remove(marker))
	refused()
	_, err := s.Save(t.Context(), nightly("c", 2, 100))
	require.True(t, baseline.IsUnavailable(err), "what is unmounted takes no records: %v", err)
	_, err = baseline.Create(t.Context(), "dir:"+root)
	require.NoError(t, err)
	h, err := open(t, "dir:"+root).History(t.Context(), baseline.Query{Case: "c", Match: nightly("c", 1, 100).Match})
	require.NoError(t, err)
	require.Len(t, h.Runs, 1)
	left, err := os.ReadDir(filepath.Dir(root))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing of its making is left beside it")
}

func TestStoreThatGoesAway(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	s := open(t, "dir:"+root)
	save(t, s, nightly("c", 1, 100))
	require.NoError(t, os.Rename(root, root+".unmounted"))
	_, err := s.History(t.Context(), baseline.Query{Case: "c"})
	require.ErrorAs(t, err, new(*baseline.UnavailableError), "an unmounted store is not an empty one")
}

// A store that a group shares stays shared, whatever the umask of a writer.
func TestPermissionsFollowTheRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o770|fs.ModeSetgid))
	s, err := baseline.Create(t.Context(), "dir:"+root)
	require.NoError(t, err)
	r := nightly("c", 1, 100)
	save(t, s, r)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		if d.IsDir() {
			require.Equal(t, fs.FileMode(0o770)|fs.ModeSetgid|fs.ModeDir, info.Mode(), path)
		} else {
			require.Equal(t, fs.FileMode(0o660), info.Mode(), path)
		}
		return nil
	}))
}

// The system calls of a writer: temporary file, fsync, rename; no lock of any
// kind, because NFS has none that can be trusted.
func TestDirWritesByRenameWithoutLocks(t *testing.T) {
	t.Parallel()
	need.Programs(t, "strace", "strace")
	exe, err := os.Executable()
	require.NoError(t, err)
	root := filepath.Join(t.TempDir(), "store")
	trace := filepath.Join(t.TempDir(), "trace")
	run(t, []string{writerEnv + "=dir:" + root + "|0|1"}, "strace", "-f", "-o", trace,
		"-e", "trace=openat,creat,fsync,rename,renameat,renameat2,link,linkat,flock,fcntl,unlink,unlinkat", exe)
	data, err := os.ReadFile(trace)
	require.NoError(t, err)
	text := string(data)
	require.NotContains(t, text, "flock(")
	require.NotRegexp(t, `F_(OFD_)?(SETLK|SETLKW|GETLK|SETLEASE)`, text)
	require.NotContains(t, text, "link(")

	id := nightly("case/shared", 1000, 100).ID
	steps := []string{
		`openat\(.*\.` + id + `\.json\.tmp-[0-9a-z]+", O_(RDWR|WRONLY)\|O_CREAT\|O_EXCL`,
		`fsync\(`,
		`rename(at2?)?\(.*\.` + id + `\.json\.tmp-[0-9a-z]+".*[/"]` + id + `\.json"`,
		`fsync\(`, // of the directory
	}
	at := 0
	for _, step := range steps {
		loc := regexp.MustCompile(step).FindStringIndex(text[at:])
		require.NotNil(t, loc, "%s is missing after\n%s", step, text[max(0, at-300):at])
		at += loc[1]
	}
	// Nothing below the store is ever opened for writing under its final name.
	for line := range strings.Lines(text) {
		if strings.Contains(line, root) && strings.Contains(line, "openat(") && !strings.Contains(line, ".tmp-") {
			require.NotRegexp(t, `O_WRONLY|O_RDWR|O_CREAT`, line)
		}
	}
}

// A record that may not be read could be the one that says that a regression is open: nothing is known without it.
func TestDirWithARecordThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	s := open(t, "dir:"+root)
	for i := range 9 {
		save(t, s, nightly("c", i, 100))
	}
	require.NoError(t, mortal(t, readerEnv+"=dir:"+root))
	files, err := filepath.Glob(filepath.Join(root, "cases/*/*/branch-main/*/*.json"))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(files[8], 0))
	require.ErrorContains(t, mortal(t, readerEnv+"=dir:"+root), "permission denied")
}

// A marker that means something else is not the marker of this kind of store.
func TestDirOfAnotherSchema(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	save(t, open(t, "dir:"+root), nightly("c", 1, 100))
	for _, text := range []string{`{"schema": 2}`, `{"hello": 1}`} {
		require.NoError(t, os.WriteFile(filepath.Join(root, "ci-disagg-store.json"), []byte(text), 0o600))
		for _, create := range []bool{false, true} {
			got, err := baseline.Open(t.Context(), "dir:"+root, create)
			require.True(t, baseline.IsUnavailable(err), "%v", err)
			require.ErrorContains(t, err, "this ci-disagg understands")
			require.Nil(t, got)
		}
	}
}

// A store that is not there is made where a person may have meant that, and not beside
// one of nearly the same name.
func TestMissingStores(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "[no pattern]")
	require.NoError(t, os.Mkdir(root, 0o700))
	dir := func(path string) string { return "dir:" + filepath.Join(root, path) }
	open(t, dir("perf"))
	require.NoError(t, os.Mkdir(filepath.Join(root, "prefs"), 0o700)) // no store: nobody's near miss
	for path, problem := range map[string]string{
		"perf":    "",
		"history": "",
		"nightly": "",
		"pref":    "beside it is a store; did you mean \"perf\"",
		"Perf":    "beside it is a store; did you mean \"perf\"",
		"a/perf":  "neither it nor .*/a is there",
	} {
		err := baseline.Missing(dir(path))
		if problem == "" {
			require.NoError(t, err, path)
			continue
		}
		require.Error(t, err, path)
		require.Regexp(t, problem, err.Error())
		_, err = baseline.Open(t.Context(), dir(path), true)
		require.Error(t, err, "no run makes it either")
		require.NoDirExists(t, filepath.Join(root, path))
	}
	require.NoError(t, baseline.Missing("postgres://h/db"))
	for _, path := range []string{"a/perf", "pref"} {
		s, err := baseline.Create(t.Context(), dir(path))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		open(t, dir(path))
	}
}
