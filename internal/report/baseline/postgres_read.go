package baseline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// History asks for the acts and the runs of one series.
func (s *pgStore) History(ctx context.Context, q Query) (History, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var h History
	err := s.use(ctx, func(conn *pgx.Conn) error {
		var err error
		h, err = pgHistory(ctx, conn, q)
		return err
	})
	h.sayNew(s, s.made)
	return h, err
}

func pgHistory(ctx context.Context, conn *pgx.Conn, q Query) (h History, err error) {
	var r pgReader
	pick := newPicker(q)
	results := conn.SendBatch(ctx, historyBatch(q, pick.keys)) // all answers in one round trip
	defer func() { err = errors.Join(err, results.Close()) }()
	if err := takeSiblings(results, pick); err != nil {
		return History{}, err
	}
	err = r.take(results, func(rec Record) bool {
		pick.act(rec)
		return true
	})
	if err != nil {
		return History{}, err
	}
	if err := r.take(results, pick.run); err != nil {
		return History{}, err
	}
	if r.bad > r.good {
		return History{}, fmt.Errorf("%d of %d records cannot be read: %s", r.bad, r.bad+r.good, strings.Join(r.warnings, "; "))
	}
	h = pick.history()
	h.Warnings = append(r.warnings, h.Warnings...)
	return h, nil
}

// siblings are the match values of every series of a case: the index is asked for the
// first key, then for the next one behind it, however many runs each has.
const siblings = `
WITH RECURSIVE series AS (
 (SELECT match_key, match FROM ci_disagg_records
   WHERE kind = 'run' AND mode = 'nightly' AND valid AND md5(case_id) = md5(@case_id)
   ORDER BY match_key LIMIT 1)
 UNION ALL
 SELECT next.match_key, next.match FROM series CROSS JOIN LATERAL
 (SELECT match_key, match FROM ci_disagg_records
   WHERE kind = 'run' AND mode = 'nightly' AND valid AND md5(case_id) = md5(@case_id) AND match_key > series.match_key
   ORDER BY match_key LIMIT 1) AS next)
SELECT match FROM series`

func takeSiblings(results pgx.BatchResults, pick *picker) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[map[string]string])
	for _, match := range all {
		pick.sibling(match)
	}
	return err
}

// historyBatch asks for the series of the case, then for the acts and for the runs of
// the branch under these keys, newest first.
func historyBatch(q Query, keys []string) *pgx.Batch {
	batch := &pgx.Batch{}
	args := pgx.NamedArgs{"case_id": q.Case, "keys": keys, "withdraw": string(KindWithdraw)}
	batch.Queue(siblings, args)
	const acts = `
  FROM ci_disagg_records
 WHERE kind <> 'run' AND md5(case_id) = md5(@case_id) AND match_key = ANY(@keys)`
	batch.Queue(`SELECT id, record`+acts+` ORDER BY time DESC, id DESC`, args)

	args["branch"] = NormalBranch(q.Branch)
	sql := `
SELECT id, record FROM unnest(@keys::text[]) AS one(key) CROSS JOIN LATERAL
(SELECT id, record, time FROM ci_disagg_records
 WHERE kind = 'run' AND mode = 'nightly' AND valid
   AND md5(case_id) = md5(@case_id) AND match_key = one.key AND branch = @branch`
	if !q.Before.IsZero() {
		sql, args["before"] = sql+` AND time < @before`, q.Before
	}
	if !q.Since.IsZero() {
		sql, args["since"] = sql+` AND time >= @since`, q.Since
	}
	sql += ` ORDER BY time DESC, id DESC`
	if q.MergeBase == "" {
		// The judged run and the withdrawn ones may be among the newest.
		args["most"] = q.runs() + 1
		sql += ` LIMIT @most::bigint + (SELECT count(*)` + acts + ` AND kind = @withdraw)`
	}
	batch.Queue(sql+`) AS runs ORDER BY time DESC, id DESC`, args)
	return batch
}

type pgReader struct {
	good, bad int
	warnings  []string
}

// each gives the records of a query until fn has enough.
func (r *pgReader) each(ctx context.Context, conn *pgx.Conn, sql string, args pgx.NamedArgs, fn func(Record) bool) error {
	rows, err := conn.Query(ctx, sql, args)
	if err != nil {
		return err
	}
	return r.records(rows, fn)
}

// take gives the records of the next query of a batch until fn has enough.
func (r *pgReader) take(results pgx.BatchResults, fn func(Record) bool) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return r.records(rows, fn)
}

// records gives rows as records until fn has enough. A row that is not a record
// of this schema is left out with a warning.
func (r *pgReader) records(rows pgx.Rows, fn func(Record) bool) error {
	defer rows.Close()
	for rows.Next() {
		var id string
		var data []byte
		if err := rows.Scan(&id, &data); err != nil {
			return err
		}
		rec, err := ParseRecord(data)
		if err == nil && rec.ID != id {
			err = fmt.Errorf("it holds the record %s", rec.ID)
		}
		if err != nil {
			r.bad++
			if len(r.warnings) < maxWarnings {
				r.warnings = append(r.warnings, fmt.Sprintf("row %s is left out: %v", Shorten(id), err))
			}
			continue
		}
		r.good++
		if !fn(rec) {
			return nil
		}
	}
	return rows.Err()
}

// Each streams the table, sorted by the server.
func (s *pgStore) Each(ctx context.Context, f Filter, fn func(Record) error) ([]string, error) {
	ctx, cancel := listing(ctx)
	defer cancel()
	var own error // of fn: not the store's fault
	var r pgReader
	where, args := f.where()
	err := s.use(ctx, func(conn *pgx.Conn) error {
		return r.each(ctx, conn, `SELECT id, record FROM ci_disagg_records WHERE `+where+`
 ORDER BY case_id, match_key, branch, time, id`, args, func(rec Record) bool {
			own = fn(rec)
			return own == nil
		})
	})
	if own != nil {
		return r.warnings, own
	}
	if err != nil {
		return r.warnings, err
	}
	if hidden := r.bad - len(r.warnings); hidden > 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("%d more rows are left out", hidden))
	}
	return r.warnings, nil
}

// where is the filter in SQL. Every value is a parameter.
func (f Filter) where() (string, pgx.NamedArgs) {
	cond, args := []string{"true"}, pgx.NamedArgs{}
	add := func(sql, name string, value any) {
		cond, args[name] = append(cond, sql), value
	}
	if len(f.IDs) > 0 {
		add("id = ANY(@ids)", "ids", f.IDs)
	}
	if len(f.Kinds) > 0 {
		kinds := make([]string, len(f.Kinds))
		for i, k := range f.Kinds {
			kinds[i] = string(k)
		}
		add("kind = ANY(@kinds)", "kinds", kinds)
	}
	if f.Case != "" {
		add("md5(case_id) = md5(@case_id) AND case_id = @case_id", "case_id", f.Case)
	}
	if f.Branch != "" {
		add("branch = @branch", "branch", NormalBranch(f.Branch))
	}
	if f.Mode != "" {
		add("kind = 'run' AND mode = @mode", "mode", f.Mode)
	}
	if f.Counts { // in the words of the index
		cond = append(cond, "kind = 'run' AND mode = 'nightly' AND valid")
	}
	if !f.Since.IsZero() {
		add("time >= @since", "since", f.Since)
	}
	if !f.Before.IsZero() {
		add("time < @before", "before", f.Before)
	}
	for i, k := range slices.Sorted(maps.Keys(f.Match)) {
		args[fmt.Sprintf("k%d", i)] = k
		add(fmt.Sprintf("coalesce(match ->> @k%d, '') = @v%d", i, i), fmt.Sprintf("v%d", i), f.Match[k])
	}
	return strings.Join(cond, " AND "), args
}

// Delete removes rows in one statement.
func (s *pgStore) Delete(ctx context.Context, f Filter) (int, error) {
	where, args := f.where()
	n := 0
	err := s.use(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, `DELETE FROM ci_disagg_records WHERE `+where, args)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}
