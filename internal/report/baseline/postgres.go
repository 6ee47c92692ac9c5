package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Bounds of one database call. A store that does not answer in time is not
// available: a verdict must not hang a pipeline.
const (
	connectTimeout = 10 * time.Second
	queryTimeout   = 60 * time.Second
)

type pgStore struct {
	cfg  *pgx.ConnConfig
	name string // the URL without password and options
	made bool   // by this process: there is no history, and that is said

	mu   sync.Mutex // one process asks one thing at a time
	conn *pgx.Conn
}

// OpenPostgres opens the store in a PostgreSQL database (12 or newer) and brings
// its table up to date. Without create, a database without the table is an
// UnavailableError, and a user who may only read is enough.
func OpenPostgres(ctx context.Context, dsn string, create bool) (Store, error) {
	name, err := redact(dsn)
	if err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx's own message can contain parts of a password.
		return nil, fmt.Errorf("baseline store %s: an option of the URL, a PG… variable or the password file is not valid", name)
	}
	if cfg.ConnectTimeout == 0 || cfg.ConnectTimeout > connectTimeout {
		cfg.ConnectTimeout = connectTimeout
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "ci-disagg"
	}
	s := &pgStore{cfg: cfg, name: name}
	err = s.use(ctx, func(conn *pgx.Conn) (err error) {
		s.made, err = migrate(ctx, conn, create)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// use runs op with the connection, made anew if it was lost: between two
// questions lies a benchmark, in which a server is restarted and a firewall
// forgets. Every error of op is the store's.
func (s *pgStore) use(ctx context.Context, op func(*pgx.Conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || !alive(ctx, s.conn) {
		conn, err := pgx.ConnectConfig(ctx, s.cfg)
		if err != nil {
			return s.unavailable(err)
		}
		s.conn = conn
	}
	if err := op(s.conn); err != nil {
		return s.unavailable(err)
	}
	return nil
}

// alive asks the server, who alone knows. What it does not answer is closed.
func alive(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return conn.Ping(ctx) == nil
}

// redact is the URL as messages may show it: user, host, port and database.
func redact(dsn string) (string, error) {
	u, err := url.Parse(dsn)
	// An @ further on was meant to end a password that has a / ? or # in it: what looks like host, port and database is
	// part of it.
	if err != nil || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") { // url.Error repeats the URL, password included
		return "", errors.New("baseline store postgres://…: not a valid URL; special characters of a password are written as %XX, better still leave it to $PGPASSWORD or ~/.pgpass")
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	host := u.Query().Get("host") // a socket directory
	u.RawQuery, u.Fragment = "", ""
	if host != "" {
		return u.String() + "?host=" + host, nil
	}
	return u.String(), nil
}

// HasPassword reports whether a store URL carries a password, which must not stand
// where others can read it, such as a command line.
func HasPassword(dsn string) bool {
	if !strings.HasPrefix(dsn, "postgres") {
		return false
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return strings.Contains(dsn, "@")
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}

const insufficientPrivilege = "42501" // SQLSTATE

// scrub keeps a connection error's cause without its connection string, and says which role may what.
func scrub(err error) error {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fmt.Errorf("cannot connect: %w", connect.Unwrap())
	}
	var denied *pgconn.PgError
	if errors.As(err, &denied) && denied.Code == insufficientPrivilege {
		return fmt.Errorf("%w: this role may not: storing takes the writer's, removing and migrating the owner's", err)
	}
	return err
}

func (s *pgStore) unavailable(err error) error {
	return &UnavailableError{Store: s.name, Err: scrub(err)}
}

func (s *pgStore) String() string { return s.name }

func (s *pgStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // nothing is unsaved; the server notices in any case
	return nil
}

// Save stores the records in one transaction.
func (s *pgStore) Save(ctx context.Context, records ...Record) (Saved, error) {
	var saved Saved
	records, bad := storable(records)
	batch := &pgx.Batch{}
	for _, r := range slices.SortedFunc(slices.Values(records), func(a, b Record) int { return strings.Compare(a.ID, b.ID) }) { // one order for all writers: no deadlock
		args, err := row(r)
		if err != nil {
			return saved, err
		}
		batch.Queue(upsert, args).QueryRow(func(row pgx.Row) error {
			var added bool
			if err := row.Scan(&added); err != nil {
				return err
			}
			if added {
				saved.Added++
			} else {
				saved.Replaced++
			}
			return nil
		})
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err := s.use(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	})
	if err != nil {
		return Saved{}, errors.Join(bad, err)
	}
	return saved, bad
}

// upsert tells an insert from an update by xmax, which only an update sets.
const upsert = `
INSERT INTO ci_disagg_records
       (id, kind, case_id, match_key, match, time, mode, branch, commit_id, change_id, run_id, build_url,
        cluster, gpu, nodes, container, tool, source, valid, verdict, act_by, act_why, act_target, record)
VALUES (@id, @kind, @case_id, @match_key, @match, @time, @mode, @branch, @commit_id, @change_id, @run_id, @build_url,
        @cluster, @gpu, @nodes, @container, @tool, @source, @valid, @verdict, @act_by, @act_why, @act_target, @record)
ON CONFLICT (id) DO UPDATE SET
        commit_id = excluded.commit_id, build_url = excluded.build_url, cluster = excluded.cluster, gpu = excluded.gpu,
        nodes = excluded.nodes, container = excluded.container, tool = excluded.tool, source = excluded.source,
        valid = excluded.valid, verdict = excluded.verdict, act_by = excluded.act_by, act_why = excluded.act_why,
        act_target = excluded.act_target, record = excluded.record, stored = now()
RETURNING xmax = 0`

// row is the record's columns by name.
func row(r Record) (pgx.NamedArgs, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if r.Match == nil {
		r.Match = map[string]string{}
	}
	nodes := []string{}
	for _, rep := range r.Repetitions {
		nodes = append(nodes, rep.Nodes...)
	}
	act := Act{}
	if r.Act != nil {
		act = *r.Act
	}
	return pgx.NamedArgs{
		"id": r.ID, "kind": string(r.Kind), "case_id": r.Case, "match_key": MatchKey(r.Match), "match": r.Match,
		"time": r.Time, "mode": r.Build.Mode, "branch": r.Branch(), "commit_id": r.Build.Commit,
		"change_id": r.Build.Change, "run_id": r.Run, "build_url": r.Build.URL, "cluster": r.Cluster, "gpu": r.GPU,
		"nodes": nodes, "container": r.Container, "tool": r.Tool, "source": r.Source, "valid": r.Valid,
		"verdict": string(r.Verdict), "act_by": act.By, "act_why": act.Why, "act_target": act.Target, "record": data,
	}, nil
}
