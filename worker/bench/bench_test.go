package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestFloorsProbe(t *testing.T) {
	for _, load := range []float64{1, 0.8, 1.2} {
		for _, s := range Scenarios(load) {
			seeds := 1
			if s.Random {
				seeds = 8
			}
			begin := time.Now()
			line := fmt.Sprintf("%.1f %-26s", load, s.Name)
			vals := make([][]float64, len(s.Floors))
			refused := 0
			for seed := range seeds {
				r := Run(&s, Setup{Seed: uint64(seed)})
				refused += r.Refused
				for i, f := range s.Floors {
					vals[i] = append(vals[i], f.Of(r))
				}
			}
			for i, f := range s.Floors {
				slices.Sort(vals[i])
				line += fmt.Sprintf(" %s %.3f..%.3f (%.3f)", f.Name, vals[i][0], vals[i][len(vals[i])-1], f.Bound)
			}
			t.Logf("%s 429s %d, %v", line, refused, time.Since(begin))
		}
	}
}
