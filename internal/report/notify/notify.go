// Package notify tells a channel of people what a run has newly found: one message, grouped by who looks after the
// cases.
//
// In: the report of a run, a webhook. Out: nothing but the message; that it cannot be sent is a warning and never a
// verdict. Failures of the infrastructure and regressions that were open before are not told.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Forms of a message.
const (
	Slack = "slack"
	Teams = "teams"
	JSON  = "json"
)

// Config is the section notify: of a config. The address is a secret: it is never written into it.
type Config struct {
	URLEnv  string `yaml:"url_env"`                      // variable that holds the address
	URLFile string `yaml:"url_file"`                     // or a file that does
	Form    string `yaml:"form" enum:"slack,teams,json"` // json (default), slack, teams
}

// Validate returns every problem.
func (c Config) Validate(doc strictyaml.Document) []error {
	var errs []error
	if c.URLEnv != "" && c.URLFile != "" {
		errs = append(errs, doc.Problem("notify.url_file", "is given beside url_env: the address comes from one of them"))
	}
	if strings.Contains(c.URLEnv, "://") {
		errs = append(errs, doc.Problem("notify.url_env", "is the address itself (it is not repeated: it is a secret); name the variable that holds it"))
	}
	if c.Form != "" && c.URLEnv == "" && c.URLFile == "" {
		errs = append(errs, doc.Problem("notify.form", "has nowhere to go: give notify.url_env or notify.url_file"))
	}
	if !slices.Contains([]string{"", JSON, Slack, Teams}, c.Form) {
		errs = append(errs, doc.Problem("notify.form", "%q is not a form: use json, slack or teams", c.Form))
	}
	return errs
}

// Hook is where messages go.
type Hook struct {
	Config
	Owners owners.Owners
	URL    string // "" = nobody is told
}

// Hook is where messages go by the config of a directory.
func (c Config) Hook(dir string, getenv func(string) string, read func(string) ([]byte, error)) (Hook, error) {
	out := Hook{Config: c}
	if c.URLFile == "" {
		out.URL = getenv(c.URLEnv)
		return out, nil
	}
	path := c.URLFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	data, err := read(path)
	out.URL = strings.TrimSpace(string(data))
	return out, err
}

// Finding is one newly found regression.
type Finding struct {
	Case   string  `json:"case"`
	Owner  string  `json:"owner,omitempty"`
	Metric string  `json:"metric"` // the worst one
	Worse  float64 `json:"worse"`  // relative
	Others int     `json:"others"` // gating metrics of the case that are worse too
	Good   string  `json:"good_commit,omitempty"`
	Bad    string  `json:"bad_commit,omitempty"`
}

// Message is what is told of a run.
type Message struct {
	Schema   int       `json:"schema"`
	Run      string    `json:"run_id"`
	Stage    string    `json:"stage"`
	Cluster  string    `json:"cluster,omitempty"`
	Branch   string    `json:"branch,omitempty"`
	Build    string    `json:"build_url,omitempty"`
	Headline string    `json:"headline"`
	Findings []Finding `json:"findings"`
}

// Of is what a run has newly found, ok = false where that is nothing. A pull request tells its own author in its own
// place.
func Of(r report.Report, who owners.Owners) (m Message, ok bool) {
	if r.Build.Mode != string(verdict.Nightly) {
		return m, false
	}
	m = Message{Schema: 1, Run: r.RunID, Stage: r.Stage, Cluster: r.Cluster, Branch: r.Build.Branch, Build: look.WebLink(r.Build.URL)}
	for _, c := range r.Cases {
		if f, found := findingOf(c); found {
			f.Owner = who.Of(c.ID)
			m.Findings = append(m.Findings, f)
		}
	}
	slices.SortStableFunc(m.Findings, func(a, b Finding) int { return strings.Compare(a.Owner, b.Owner) })
	m.Headline = fmt.Sprintf("%s: %s of %s found a new regression", r.Stage, plain.Count(len(m.Findings), "case"), plain.Count(len(r.Cases), "case"))
	return m, len(m.Findings) > 0
}

// findingOf is the regression that a case has newly, by what its session blames, else by the worst of its metrics, as
// its report orders them. A case that is decided to be anything else, such as a known failure, has none.
func findingOf(c report.CaseReport) (f Finding, found bool) {
	if c.Result != report.ResultRegression {
		return f, false
	}
	red := slices.DeleteFunc(slices.Clone(c.Metrics), func(r verdict.Row) bool {
		return !r.Alarm || r.Verdict != verdict.Regression || !r.Decides()
	})
	f = Finding{Case: c.ID, Others: len(red) - 1}
	if s := c.AB; s != nil && s.Verdict == paired.Regression { // between these two builds it is new
		worst := s.Nearest()
		f.Metric, f.Worse, f.Others = words.Row(verdict.Row{Point: worst.Point, Metric: worst.Metric}), worst.Effect, len(slices.DeleteFunc(red, func(r verdict.Row) bool {
			return r.Point == worst.Point && r.Metric == worst.Metric // pinned, and broken
		}))
		if s.Base != nil && s.Head != nil {
			f.Good, f.Bad = s.Base.Commit, s.Head.Commit
		}
		return f, true
	}
	if len(red) == 0 {
		return f, false
	}
	verdict.ByWeight(red)
	f.Metric = words.Row(red[0])
	if worse := red[0].Worse; worse != nil {
		f.Worse = *worse
	}
	if c.Together != nil && c.Together.Onset != nil {
		f.Good, f.Bad = c.Together.Onset.Good, c.Together.Onset.Commit
	}
	return f, true
}

// mostLines is how many findings a message names.
const mostLines = 20

// lines are the findings as text, grouped by owner.
func (m Message) lines(esc func(string) string) []string {
	out := []string{esc(m.Headline)}
	owner := "\x00"
	for i, f := range m.Findings {
		if i == mostLines {
			out = append(out, fmt.Sprintf("… and %s", plain.Count(len(m.Findings)-i, "more case")))
			break
		}
		if f.Owner != owner && f.Owner != "" {
			out = append(out, esc(f.Owner)+":")
		}
		owner = f.Owner
		line := fmt.Sprintf("• %s: %s, %.1f %% worse", esc(look.OneLine(f.Case, 120)), esc(f.Metric), 100*f.Worse)
		if f.Others > 0 {
			line += fmt.Sprintf(" (and %s)", plain.Count(f.Others, "more metric"))
		}
		if f.Good != "" && f.Bad != "" {
			line += fmt.Sprintf(", %s to %s", esc(words.ShortCommit(f.Good)), esc(words.ShortCommit(f.Bad)))
		}
		out = append(out, line)
	}
	if m.Build != "" {
		out = append(out, m.Build)
	}
	return out
}

// Body is the message in a form.
func (m Message) Body(form string) ([]byte, error) {
	switch form {
	case Slack:
		esc := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
		return json.Marshal(map[string]any{"text": strings.Join(m.lines(esc), "\n")})
	case Teams:
		var body []any
		for _, line := range m.lines(look.Markdown) {
			body = append(body, map[string]any{"type": "TextBlock", "text": line, "wrap": true})
		}
		card := map[string]any{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body}
		return json.Marshal(map[string]any{"type": "message", "attachments": []any{
			map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "content": card},
		}})
	default:
		return json.Marshal(m)
	}
}

// timeout bounds the whole call: nobody waits for a chat.
const timeout = 10 * time.Second

// Send tells what a run has newly found. The error says nothing of the address.
func (h Hook) Send(ctx context.Context, r report.Report) error {
	if h.URL == "" {
		return nil
	}
	m, ok := Of(r, h.Owners)
	if !ok {
		return nil
	}
	body, err := m.Body(h.Form)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := post(ctx, h.URL, body); err != nil {
		return fmt.Errorf("notify: nobody was told of %s: %w", plain.Count(len(m.Findings), "new regression"), err)
	}
	return nil
}

func post(ctx context.Context, address string, body []byte) error {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("the address is no http or https URL (it is not repeated: it is a secret)")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used (it is not repeated: it is a secret)")
	}
	req.Header.Set("Content-Type", "application/json")
	// A redirection would carry the findings to where nobody has sent them.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	var named *url.Error
	switch {
	case errors.As(err, &named):
		return named.Err // without the address
	case err != nil:
		return errors.New("the call failed")
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16)) // what it says is not for a log
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	return nil
}
