package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

const deployments = "../../deployments"

// tool finds a program of Prometheus. Without it the test is skipped, and fails in
// CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is missing, so rules and dashboard were not checked: apt-get install prometheus")
	}
	return path
}

func run(t *testing.T, stdin []byte, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

// TestEveryProblemAlerts: whatever keeps a worker from delivering wakes somebody up,
// but for a worker that shuts down.
func TestEveryProblemAlerts(t *testing.T) {
	rules, err := os.ReadFile(deployments + "/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tasks.HealthProblems() {
		named := regexp.MustCompile(`inviteq_problem\{problem=~?"[a-z|_]*\b` + string(p) + `\b`).Match(rules)
		if named == (p == tasks.ProblemDraining) {
			t.Errorf("%s: an alert names it: %t", p, named)
		}
	}
}

func TestAlertRules(t *testing.T) {
	promtool := tool(t, "promtool")
	run(t, nil, promtool, "check", "rules", "--lint-fatal", deployments+"/prometheus/alerts.yml")
	run(t, nil, promtool, "test", "rules", deployments+"/prometheus/alerts_test.yml")
	run(t, nil, promtool, "check", "config", "--syntax-only", deployments+"/prometheus/prometheus.yml")
}

// scraper is a real Prometheus that scrapes the stage every half second.
type scraper struct {
	t   *testing.T
	url string
}

func (s *stage) prometheus(t *testing.T) *scraper {
	t.Helper()
	binary, dir := tool(t, "prometheus"), t.TempDir()
	target, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs(deployments + "/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - job_name: inviteq
    authorization: {credentials: %s}
    static_configs: [{targets: [%q]}]
`, rules, testToken, target.Host)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var out bytes.Buffer
	cmd := exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said: %s", out.String())
		}
	})
	p := &scraper{t, "http://" + addr}
	eventually(t, func() error {
		got, err := p.query(`up{job="inviteq"} == 1 and on () count_over_time(up{job="inviteq"}[1m]) > 6`)
		if err == nil && len(got) == 0 {
			err = fmt.Errorf("prometheus has not scraped the worker")
		}
		return err
	})
	return p
}

// errSeries says that there is not the one series that was asked for.
var errSeries = errors.New("want one series")

type series struct {
	Metric map[string]string
	Value  [2]any
}

// query evaluates an expression now.
func (p *scraper) query(expr string) ([]series, error) {
	res, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result json.RawMessage }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	var all []series
	return all, json.Unmarshal(answer.Data.Result, &all)
}

// names are the metrics of ours that an expression speaks of.
func names(expr string) []string {
	return regexp.MustCompile(`inviteq_\w+`).FindAllString(expr, -1)
}

// queries reads every expression of the dashboard, by the title of its panel.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(deployments + "/grafana/inviteq.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
	}
	if len(all) < 15 {
		t.Fatalf("got %d panels with queries", len(all))
	}
	return all
}

func TestDashboardAndRulesOnARealPrometheus(t *testing.T) {
	tool(t, "prometheus")
	s := newStage(t, withToken)
	s.sim.AddUser("person3@example.com")
	p := s.prometheus(t)
	s.admit("spring", people(0, 400)...)
	s.admit("", people(500, 503)...)
	s.await(tasks.Pending, 200)
	eventually(t, func() error {
		got, err := p.query(`max(inviteq_invites{state="pending"}) >= 200 and on () sum(rate(inviteq_clerk_calls_total[1m])) > 0 and on () sum(rate(inviteq_delivery_wait_seconds_count[1m])) > 0`)
		if err == nil && len(got) == 0 {
			err = fmt.Errorf("prometheus has not seen the deliveries")
		}
		return err
	})

	used := map[string]bool{}
	variables := strings.NewReplacer("$ledger", s.ledger.Instance(), "$__rate_interval", "1m")
	for title, exprs := range queries(t) {
		for _, expr := range exprs {
			eventually(t, func() error {
				got, err := p.query(variables.Replace(expr))
				if err == nil && len(got) == 0 {
					err = fmt.Errorf("no data for %s", expr)
				}
				if err != nil {
					err = fmt.Errorf("panel %s: %w", title, err)
				}
				return err
			})
			for _, n := range names(expr) {
				used[n] = true
			}
		}
	}

	// The rules: each can be evaluated, and speaks of metrics that there are.
	rules, err := os.ReadFile(deployments + "/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names(string(rules)) {
		used[n] = true
	}
	for n := range used {
		if got, err := p.query(n); err != nil || len(got) == 0 {
			t.Errorf("no worker has the metric %s (%v)", n, err)
		}
	}
	res, err := http.Get(p.url + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var loaded struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&loaded); err != nil || len(loaded.Data.Groups) != 1 {
		t.Fatalf("rules: %+v, %v", loaded, err)
	}
	for _, r := range loaded.Data.Groups[0].Rules {
		if r.Health != "ok" || r.State == "firing" {
			t.Errorf("%s: health %s, state %s: %s", r.Name, r.Health, r.State, r.LastError)
		}
	}

	// What Prometheus has seen is what the ledger has.
	eventually(t, func() error {
		o, err := s.ledger.Overview(t.Context(), time.Now())
		if err != nil {
			return err
		}
		for _, state := range tasks.States {
			got, err := p.query(fmt.Sprintf("max(inviteq_invites{state=%q})", state))
			if err != nil || len(got) != 1 {
				return fmt.Errorf("%s: %v, %w", state, got, errors.Join(err, errSeries))
			}
			if want := fmt.Sprint(o.States[state]); got[0].Value[1] != want {
				return fmt.Errorf("%s: got %v, the ledger has %s", state, got[0].Value[1], want)
			}
		}
		return nil
	})
}

func TestMetricsFollowTheConventions(t *testing.T) {
	promtool := tool(t, "promtool")
	s := newStage(t, withToken)
	s.admit("", people(0, 3)...)
	s.await(tasks.Pending, 3)
	var ours []string
	for line := range strings.Lines(s.page("/metrics")) {
		if strings.Contains(line, "inviteq_") {
			ours = append(ours, line)
		}
	}
	run(t, []byte(strings.Join(ours, "")), promtool, "check", "metrics")
	if !slices.ContainsFunc(ours, func(l string) bool {
		return strings.HasPrefix(l, "inviteq_deliveries_total{") && strings.HasSuffix(l, " 3\n")
	}) {
		t.Error("three deliveries are not counted")
	}
}
