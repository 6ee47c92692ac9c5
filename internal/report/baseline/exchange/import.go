package exchange

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Options says how foreign records become ours.
type Options struct {
	Metrics metric.Table
	// Case is the case id of a foreign record, with {server} for its test name
	// without the client's part; "" = upstream's own grammar of test ids.
	Case string
	// Cases maps a foreign test name, with or without the client's part, to a
	// case id; it goes before Case.
	Cases map[string]string
	// Match are the properties that identify the series; empty = gpu_type.
	Match []string
	// Stamp is noted in every foreign record: who imported it, when and why.
	Stamp baseline.Act
}

// Imported is what Import read.
type Imported struct {
	Records []baseline.Record // Normal and valid in form, sorted by id
	Read    int               // records in the file
	Skipped map[string]int    // why records or fields were left out, and how many

	theirs map[string]bool // ids of records that were not ours
}

// News are the records that the store does not have as they are. A foreign record
// is the same if it measured the same: who brought it in, and what it was judged to
// be since, is not in the file.
func (im Imported) News(ctx context.Context, store baseline.Store) ([]baseline.Record, error) {
	if len(im.Records) == 0 {
		return nil, nil
	}
	filter := baseline.Filter{}
	for _, r := range im.Records {
		filter.IDs = append(filter.IDs, r.ID)
	}
	same := map[string][]byte{}
	_, err := store.Each(ctx, filter, func(r baseline.Record) error {
		text, err := im.content(r)
		same[r.ID] = text
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []baseline.Record
	for _, r := range im.Records {
		text, err := im.content(r)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(text, same[r.ID]) {
			out = append(out, r)
		}
	}
	return out, nil
}

// content is what makes a record the same as another one of its id.
func (im Imported) content(r baseline.Record) ([]byte, error) {
	if im.theirs[r.ID] {
		r = r.Unjudged()
		r.Act = nil
	}
	return json.Marshal(r)
}

func (im *Imported) skip(format string, args ...any) {
	if im.Skipped == nil {
		im.Skipped = map[string]int{}
	}
	im.Skipped[fmt.Sprintf(format, args...)]++
}

// Import reads records of other stores. The format is recognised by content:
//
//   - NDJSON of `baseline export`: our own records, kept as they are;
//   - NDJSON of upstream's OpenSearch: documents with prefixed fields (d_…, s_…,
//     l_…, b_…, ts_…), bare, as hits with _source, as a search response, or as
//     the body of a _bulk request;
//   - upstream's perf_data.yaml: the new and the historic data in it.
//
// A line that is none of these is an error with file and line: an import is
// complete or it did not happen.
func Import(r io.Reader, file string, opt Options) (Imported, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		b, err := br.Peek(1)
		if err != nil {
			return Imported{}, fmt.Errorf("%s: nothing to import in it", file)
		}
		if !bytes.ContainsRune([]byte(" \t\r\n\ufeff"), rune(b[0])) {
			break
		}
		_, _ = br.Discard(1)
	}
	im := importer{opt: opt, file: file, groups: map[string]*baseline.Record{}, Imported: Imported{theirs: map[string]bool{}}}
	var err error
	if b, _ := br.Peek(1); b[0] == '{' {
		err = im.lines(br)
	} else {
		err = im.yaml(br)
	}
	if err != nil {
		return Imported{}, err
	}
	return im.finish()
}

type importer struct {
	Imported
	opt    Options
	file   string
	own    []baseline.Record
	groups map[string]*baseline.Record // foreign records of one job and case become one
}

func (im *importer) lines(r io.Reader) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), 4*baseline.MaxRecord)
	for n := 1; sc.Scan(); n++ {
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := im.line(line); err != nil {
			return fmt.Errorf("%s:%d: %w", im.file, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", im.file, err)
	}
	return nil
}

func (im *importer) line(line []byte) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return fmt.Errorf("not one JSON object per line (%w); `jq -c .` makes it so", err)
	}
	_, schema := doc["schema"]
	if kind, ok := doc["kind"].(string); ok && schema && kind != "" {
		rec, err := baseline.ParseRecord(line)
		if err != nil {
			return err
		}
		im.Read++
		im.own = append(im.own, rec)
		return nil
	}
	if isBulkAction(doc) {
		return nil // the document follows
	}
	hits, ok := doc["hits"].(map[string]any)
	if !ok {
		return im.foreign(unwrap(doc))
	}
	list, _ := hits["hits"].([]any)
	for _, h := range list {
		hit, ok := h.(map[string]any)
		if !ok {
			return errors.New("a hit is not an object")
		}
		if err := im.foreign(unwrap(hit)); err != nil {
			return err
		}
	}
	return nil
}

// isBulkAction recognises the line before each document of a _bulk body, as
// `report --format opensearch-bulk` prints it.
func isBulkAction(doc map[string]any) bool {
	if len(doc) != 1 {
		return false
	}
	for name, v := range doc {
		if _, ok := v.(map[string]any); ok && (name == "index" || name == "create") {
			return true
		}
	}
	return false
}

// unwrap takes a document out of its OpenSearch hit.
func unwrap(doc map[string]any) map[string]any {
	src, ok := doc["_source"].(map[string]any)
	if !ok {
		return doc
	}
	src = maps.Clone(src)
	if id, ok := doc["_id"]; ok {
		src["_id"] = id
	}
	return src
}

// yaml reads perf_data.yaml: a list of maps with new_data and history_data, or
// of the documents themselves.
func (im *importer) yaml(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, 64<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", im.file, err)
	}
	var list []map[string]any
	if err := strictyaml.Decode(im.file, data, &list); err != nil {
		return err
	}
	for i, entry := range list {
		if _, bare := entry["s_test_case_name"]; bare {
			if err := im.foreign(entry); err != nil {
				return fmt.Errorf("%s: entry %d: %w", im.file, i+1, err)
			}
			continue
		}
		fresh, ok := entry["new_data"].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: entry %d has no new_data: not a perf_data.yaml", im.file, i+1)
		}
		docs := []any{fresh}
		if past, ok := entry["history_data"].([]any); ok {
			docs = append(docs, past...)
		}
		for _, d := range docs {
			doc, ok := d.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: entry %d holds something that is not a map", im.file, i+1)
			}
			if err := im.foreign(unwrap(doc)); err != nil {
				return fmt.Errorf("%s: entry %d: %w", im.file, i+1, err)
			}
		}
	}
	return nil
}

// finish closes the groups and checks every record.
func (im *importer) finish() (Imported, error) {
	out := im.own
	for _, key := range slices.Sorted(maps.Keys(im.groups)) {
		rec := *im.groups[key]
		if len(rec.Measurements) == 0 && rec.Valid {
			im.skip("no known metric in it")
			continue
		}
		shortPoints(rec.Measurements)
		rec = rec.Normal()
		if err := rec.Validate(); err != nil {
			return Imported{}, fmt.Errorf("%s: %s: %w", im.file, baseline.Shorten(rec.Case), err)
		}
		im.theirs[rec.ID] = true
		out = append(out, rec)
	}
	slices.SortStableFunc(out, func(a, b baseline.Record) int { return strings.Compare(a.ID, b.ID) })
	im.Records = out
	return im.Imported, nil
}

// Export writes the records that pass the filter as NDJSON: one record per line,
// as Import reads it.
func Export(w io.Writer, each func(func(baseline.Record) error) error) (int, error) {
	bw := bufio.NewWriter(w)
	enc := json.NewEncoder(bw)
	enc.SetEscapeHTML(false)
	n := 0
	err := each(func(r baseline.Record) error {
		n++
		return enc.Encode(r)
	})
	return n, errors.Join(err, bw.Flush())
}
