// Quota plays the quota scenarios on the policy's model and on its rivals, prints
// one table (in `make bench`: its part of the one table), and draws the plots of
// the README. Same arrivals, limiters and latencies for all.
//
//	go run ./cmd/bench/quota -out .github/pictures
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/cmd/bench"
	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/tasks"
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
	rows := slices.Concat(scenarios(seeds), refusals(), etas(seeds))
	if out != "" {
		if err := plots(out); err != nil {
			return err
		}
	}
	if os.Getenv(report.FileVariable) != "" {
		return report.Add(rows...) // and the program that reads them judges
	}
	missed, err := report.Print(os.Stdout, rows)
	if err == nil && missed > 0 {
		err = fmt.Errorf("%d floors are missed", missed)
	}
	return err
}

const part = "quota (virtual time, policy alone)"

// scenarios plays every strategy on every load.
func scenarios(seeds uint64) (rows []report.Row) {
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
			got := make([]float64, len(results))
			for i, r := range results {
				got[i], _ = worst(f, r)
			}
			sign, best := "≥", slices.Max(got[1:])
			if f.AtMost {
				sign, best = "≤", slices.Min(got[1:])
			}
			row := report.Row{
				Part: part, What: s.Name + ", " + f.Name, Ours: f.Show(got[0]),
				Floor: sign + " " + f.Show(f.Bound), Missed: !f.Kept(got[0]),
				Ratio: ratio(got[0], best, "best rival"),
			}
			// The optimum is that of the very arrivals on which the policy is worst.
			ideal := "–"
			_, seed := worst(f, results[0])
			if v, ok := bench.Optimal(&s, f, seed); ok {
				ideal = f.Show(v)
				if r := ratio(got[0], v, "optimum"); r != "" {
					row.Ratio = r
				}
				if s.Aim > 0 && got[0] > s.Aim*v {
					row.Ratio += fmt.Sprintf(", not %.2f×", s.Aim)
				}
			}
			row.Beside = beside(ideal, func(i int) string { return f.Show(got[i]) })
			rows = append(rows, row)
		}
	}
	return rows
}

// beside are the optimum and the rivals, the same in every row.
func beside(ideal string, value func(strategy int) string) []report.Reference {
	all := []report.Reference{{Name: "optimum", Value: ideal}}
	for i, s := range bench.Strategies[1:] {
		all = append(all, report.Reference{Name: s.Name, Value: value(i + 1)})
	}
	return all
}

func ratio(ours, other float64, name string) string {
	if other < 0.05 || math.IsInf(other, 0) || math.IsInf(ours, 0) {
		return ""
	}
	if ours < 0.01*other {
		return "< 0.01× " + name
	}
	return fmt.Sprintf("%.2f× %s", ours/other, name)
}

// worst is the worst of several runs, and which of them it is.
func worst(f bench.Floor, results []bench.Result) (value float64, run uint64) {
	for i, r := range results {
		got := f.Of(r)
		if i == 0 || got > value == f.AtMost && got != value {
			value, run = got, uint64(i)
		}
	}
	return value, run
}

// refusals counts 429s a day, the most of any load.
func refusals() (rows []report.Row) {
	for _, limiter := range slices.Concat(bench.Contained, bench.Stricter) {
		allowed := 0
		if slices.Contains(bench.Stricter, limiter) {
			allowed = 2
		}
		most := make([]int, len(bench.Strategies))
		for i, strategy := range bench.Strategies {
			for _, s := range bench.RefusalScenarios(48 * time.Hour) {
				if i > 0 && s.Name != "200/h Poisson" {
					continue // One load is enough to see it.
				}
				for _, workers := range []int{1, 4} {
					most[i] = max(most[i], strategy.Run(&s, bench.Setup{Seed: 1, Limiter: limiter, Workers: workers}).MostRefusedInADay())
				}
			}
		}
		rows = append(rows, report.Row{
			Part: part, What: fmt.Sprintf("%s limiter, 429s a day", limiter), Ours: strconv.Itoa(most[0]),
			Beside: beside("0", func(i int) string { return strconv.Itoa(most[i]) }),
		}.AtMost(float64(most[0]), float64(allowed), "%.0f"))
	}
	return rows
}

// etas compares what was promised with what happened, as shares of the error that
// is allowed: 10 % or 60 s.
func etas(seeds uint64) []report.Row {
	worst, where, never := 0.0, "", 0
	for _, s := range bench.Scenarios(1) {
		for seed := range seeds {
			errs, past := bench.ETAErrors(&s, seed)
			never += past
			if p80 := bench.P80(errs); p80 > worst {
				worst, where = p80, s.Name
			}
		}
	}
	none := beside("0", func(int) string { return "–" })
	return []report.Row{
		report.Row{Part: part, What: "ETA, P80 of the error / (10 % or 60 s), worst: " + where, Ours: fmt.Sprintf("%.2f", worst), Beside: none}.AtMost(worst, 1, "%.2f"),
		report.Row{Part: part, What: "ETAs in the past", Ours: strconv.Itoa(never), Beside: none}.AtMost(float64(never), 0, "%.0f"),
	}
}

// plots draws what the README shows.
func plots(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return errors.Join(
		write(filepath.Join(folder, "deliveries.svg"), deliveries()),
		write(filepath.Join(folder, "waits.svg"), waits()),
		write(filepath.Join(folder, "day.svg"), aDay()),
	)
}

func write(path, svg string) error { return os.WriteFile(path, []byte(svg), 0o644) }

// deliveries: an import of 10,000 over 30 hours.
func deliveries() string {
	p := bench.Plot{Title: "An import of 10,000 on Clerk's published limits", X: "hours", Y: "delivered", MaxX: 30, MaxY: 10000}
	s := bench.Scenario{
		Name: "10,000", Length: 30 * time.Hour, Reserve: -1,
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
	s := named("60/h beside an import")
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

func named(name string) bench.Scenario {
	all := bench.Scenarios(1)
	return all[slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == name })]
}

// aDay: how long those wait who come in each half hour of a day with bursts.
func aDay() string {
	const bins = 48
	p := bench.Plot{
		Title: "A day with two crowds of 30 an hour: the longest wait in each half hour", X: "hour of the day", Y: "waits at most",
		MaxX: 24, MinY: 0.1, MaxY: 24 * 3600, LogY: true,
	}
	s := named("2 crowds of 30 an hour")
	add := func(name string, each func(note func(at time.Duration, wait float64))) {
		var longest [bins]float64
		each(func(at time.Duration, wait float64) {
			bin := min(bins-1, int(at/(30*time.Minute)))
			longest[bin] = max(longest[bin], wait)
		})
		line := bench.Line{Name: name}
		for i, wait := range longest {
			line.Points = append(line.Points, [2]float64{(float64(i) + 0.5) / 2, max(p.MinY, wait)})
		}
		p.Lines = append(p.Lines, line)
	}
	for _, strategy := range bench.Strategies {
		r := strategy.Run(&s, bench.Setup{Seed: 1})
		add(strategy.Name, func(note func(time.Duration, float64)) {
			for _, d := range r.Deliveries {
				note(d.At, (d.SentAt - d.At).Seconds())
			}
			for _, a := range r.Waiting {
				note(a.At, (r.Ended - a.At).Seconds())
			}
		})
		if len(p.Lines) == 1 {
			arrivals := s.Arrivals(1)
			best := bench.Optimum(arrivals, s.Quota())
			add("optimum, knows the future", func(note func(time.Duration, float64)) {
				for i, a := range arrivals {
					note(a.At, best.Each[i])
				}
			})
		}
	}
	return p.SVG()
}
