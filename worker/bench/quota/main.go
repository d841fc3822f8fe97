// Quota plays the quota scenarios on the policy's twin and on its rivals, prints
// one table, and draws the plots of the README. Same arrivals, limiters and
// latencies for all.
//
//	go run ./worker/bench/quota -out worker/bench/plots
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/bench"
)

func main() {
	out := flag.String("out", "", "folder for the SVG plots; none are drawn without it")
	seeds := flag.Int("seeds", 5, "how often scenarios with random arrivals are played; the worst counts")
	flag.Parse()
	if flag.NArg() > 0 || *seeds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*out, uint64(*seeds)); err != nil {
		fmt.Fprintln(os.Stderr, "quota:", err)
		os.Exit(1)
	}
}

func run(out string, seeds uint64) error {
	missed := table(seeds)
	if out != "" {
		if err := plots(out); err != nil {
			return err
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d floors are missed", missed)
	}
	return nil
}

// table prints every figure of every strategy, and returns how many floors
// inviteq has missed.
func table(seeds uint64) (missed int) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprint(w, "scenario\tfigure\tfloor\toptimum")
	for _, s := range bench.Strategies {
		fmt.Fprintf(w, "\t%s", s.Name)
	}
	fmt.Fprintln(w)
	for _, s := range bench.Scenarios(1) {
		results := make([][]bench.Result, len(bench.Strategies))
		for i, strategy := range bench.Strategies {
			for seed := range seeds {
				if seed == 0 || s.Random {
					results[i] = append(results[i], strategy.Run(&s, bench.Setup{Seed: seed}))
				}
			}
		}
		for _, f := range s.Floors {
			sign := "≥"
			if f.AtMost {
				sign = "≤"
			}
			fmt.Fprintf(w, "%s\t%s\t%s %s\t%s", s.Name, f.Name, sign, show(f.Bound, f.Unit), optimum(&s, f))
			for i := range bench.Strategies {
				got := worst(f, results[i])
				mark := ""
				if i == 0 && !f.Kept(got) {
					mark = " MISSED"
					missed++
				}
				fmt.Fprintf(w, "\t%s%s", show(got, f.Unit), mark)
			}
			fmt.Fprintln(w)
		}
	}
	missed += refusals(w)
	missed += etas(w, seeds)
	return missed
}

func worst(f bench.Floor, results []bench.Result) float64 {
	got := make([]float64, len(results))
	for i, r := range results {
		got[i] = f.Of(r)
	}
	if f.AtMost {
		return slices.Max(got)
	}
	return slices.Min(got)
}

// optimum is known for means alone.
func optimum(s *bench.Scenario, f bench.Floor) string {
	if f.Name != "mean wait" {
		return "–"
	}
	l := s.Limits
	return show(bench.Optimum(s.Arrivals(0), s.Length.Hours(), float64(l.Single.Calls)/l.Single.Window.Hours(),
		float64(l.Bulk.Calls)/l.Bulk.Window.Hours()), f.Unit)
}

func show(v float64, unit string) string {
	switch {
	case math.IsInf(v, 1):
		return "never"
	case unit == "":
		return fmt.Sprintf("%.1f %%", 100*v)
	case v < 10:
		return fmt.Sprintf("%.2f %s", v, unit)
	default:
		return fmt.Sprintf("%.1f %s", v, unit)
	}
}

// refusals counts 429s a day, the most of any load.
func refusals(w *tabwriter.Writer) (missed int) {
	for _, limiter := range slices.Concat(bench.Contained, bench.Stricter) {
		allowed := 0
		if slices.Contains(bench.Stricter, limiter) {
			allowed = 2
		}
		fmt.Fprintf(w, "%s limiter\t429s a day\t≤ %d\t0", limiter, allowed)
		for i, strategy := range bench.Strategies {
			most := 0
			for _, s := range bench.RefusalScenarios(48 * time.Hour) {
				if i > 0 && s.Name != "200/h Poisson" {
					continue // One load is enough to see it.
				}
				for _, workers := range []int{1, 4} {
					most = max(most, strategy.Run(&s, bench.Setup{Seed: 1, Limiter: limiter, Workers: workers}).MostRefusedInADay())
				}
			}
			fmt.Fprintf(w, "\t%d", most)
			if i == 0 && most > allowed {
				fmt.Fprint(w, " MISSED")
				missed++
			}
		}
		fmt.Fprintln(w)
	}
	return missed
}

func etas(w *tabwriter.Writer, seeds uint64) (missed int) {
	worst, where := 0.0, ""
	for _, s := range bench.Scenarios(1) {
		for seed := range seeds {
			errs, past := bench.ETAErrors(&s, seed)
			if past > 0 {
				missed++
			}
			if p80 := bench.Percentile(errs, 0.8); p80 > worst {
				worst, where = p80, s.Name
			}
		}
	}
	fmt.Fprintf(w, "ETA, worst: %s\tP80 error of 10 %% or 60 s\t≤ 1.00\t0\t%.2f\n", where, worst)
	if worst > 1 {
		missed++
	}
	return missed
}

// plots draws what the README shows.
func plots(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return errors.Join(
		write(filepath.Join(folder, "deliveries.svg"), deliveries()),
		write(filepath.Join(folder, "waits.svg"), waits()),
	)
}

func write(path, svg string) error { return os.WriteFile(path, []byte(svg), 0o644) }

// deliveries: an import of 10,000 over 30 hours.
func deliveries() string {
	p := bench.Plot{Title: "An import of 10,000 on Clerk's published limits", X: "hours", Y: "delivered", MaxX: 30, MaxY: 10000}
	s := bench.Scenario{
		Name: "10,000", Length: 30 * time.Hour, Limits: bench.Scenarios(1)[0].Limits, Reserve: -1,
		Arrivals: func(uint64) []bench.Arrival { return bench.List(tasks.Import, 10000, 0) },
	}
	for _, strategy := range bench.Strategies {
		r := strategy.Run(&s, bench.Setup{Seed: 1})
		line := bench.Line{Name: strategy.Name}
		n := 0
		for minute := 0; minute <= 30*60; minute += 5 {
			at := time.Duration(minute) * time.Minute
			for n < len(r.Deliveries) && r.Deliveries[n].SentAt <= at {
				n++
			}
			line.Points = append(line.Points, [2]float64{at.Hours(), float64(n)})
		}
		p.Lines = append(p.Lines, line)
	}
	return p.SVG()
}

// waits: how long people wait beside a saturating import, from the luckiest to
// the unluckiest.
func waits() string {
	p := bench.Plot{
		Title: "60 people an hour beside a saturating import: how long they wait", X: "% of people", Y: "waits at most",
		MaxX: 100, MinY: 0.1, MaxY: 24 * 3600, LogY: true,
	}
	s := bench.Scenarios(1)[7]
	for _, strategy := range bench.Strategies {
		r := strategy.Run(&s, bench.Setup{Seed: 1})
		line := bench.Line{Name: strategy.Name}
		people := r.PeopleWaits()
		for i := range 201 {
			q := float64(i) / 200
			line.Points = append(line.Points, [2]float64{100 * q, max(p.MinY, bench.Percentile(people, q))})
		}
		p.Lines = append(p.Lines, line)
	}
	return p.SVG()
}
