// All runs every part of `make bench`, one after the other, and prints one table
// of what they have measured. It fails if a floor is missed or a part has not run.
//
//	go run ./cmd/bench/all               the whole
//	go run ./cmd/bench/all enqueue idle  some parts
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"time"

	"github.com/inviteq/inviteq/cmd/bench/report"
)

// part is a command that adds its figures to the report.
type part struct {
	name, about string
	env         []string
	args        []string // of the go command
}

var parts = []part{
	{
		name: "quota", about: "the policy and its rivals, in virtual time",
		args: []string{"run", "./cmd/bench/quota", "-out", ".github/pictures"},
	},
	{
		name: "shipped", about: "the shipped worker, in virtual time", env: []string{"INVITEQ_SIM_SCENARIOS=bench"},
		args: []string{"test", "-count=1", "-timeout=60m", "-run=^(TestScenarios|TestUnwelcome)$", "./worker"},
	},
	{
		name: "enqueue", about: "producers beside a bare asynq client, on a real Redis",
		args: []string{"test", "-count=1", "-run=^$", "-bench=Invite", "-benchtime=25x", "./enqueue"},
	},
	{
		name: "pipeline", about: "workers without limits, on a real Redis",
		args: []string{"test", "-count=1", "-timeout=60m", "-run=^$", "-bench=^BenchmarkPipeline$", "-benchtime=3x", "./cmd/bench"},
	},
	{
		name: "scale", about: "lists side by side, a turn at a million waiting, and their memory",
		args: []string{"test", "-count=1", "-timeout=60m", "-run=^$", "-bench=^Benchmark(Fairness|Scale|Memory)$", "-benchtime=1x", "./tasks/ledger"},
	},
	{
		name: "reading", about: "what lists, pages and commands read, at a million waiting and delivered (10 min)",
		args: []string{"test", "-count=1", "-timeout=60m", "-run=^$", "-bench=^BenchmarkReading$", "-benchtime=1x", "./tasks/ledger"},
	},
	{
		name: "upkeep", about: "a delivery beside a full reconciliation and trimming at a million (15 min)",
		args: []string{"test", "-count=1", "-timeout=60m", "-run=^$", "-bench=^BenchmarkUpkeep$", "-benchtime=1x", "./worker/reconcile"},
	},
	{
		name: "idle", about: "the real binary when there is little to do",
		args: []string{"test", "-count=1", "-run=^$", "-bench=^BenchmarkIdle$", "-benchtime=1x", "./cmd/bench"},
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	chosen := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return len(names) > 0 && !slices.Contains(names, p.name) })
	if len(names) > 0 && len(chosen) < len(names) {
		for _, p := range parts {
			fmt.Fprintf(os.Stderr, "  %-10s %s\n", p.name, p.about)
		}
		return errors.New("the parts are those above")
	}
	file, err := os.CreateTemp("", "inviteq-bench-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()

	var failed error
	for _, p := range chosen {
		began := time.Now()
		fmt.Printf("%s: %s\n", p.name, p.about)
		before := size(file)
		c := exec.CommandContext(ctx, "go", p.args...)
		c.Env = append(append(os.Environ(), report.FileVariable+"="+file.Name()), p.env...)
		c.Stdout, c.Stderr = os.Stderr, os.Stderr
		if err := c.Run(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("part %s: %w", p.name, err))
		} else if size(file) == before {
			failed = errors.Join(failed, fmt.Errorf("part %s has measured nothing", p.name))
		}
		fmt.Printf("%s took %s\n\n", p.name, time.Since(began).Round(time.Second))
	}
	rows, err := report.Read(file)
	if err != nil {
		return errors.Join(failed, err)
	}
	missed, err := report.Print(os.Stdout, rows)
	if missed > 0 {
		failed = errors.Join(failed, fmt.Errorf("%d floors are missed", missed))
	}
	return errors.Join(failed, err)
}

func size(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}
