package clerk

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestFailedReads(t *testing.T) {
	down := &Error{Op: OpList, Kind: KindUnavailable}
	build := func() *register {
		r := newRegister(1)
		for i := range 50 {
			r.add(i + 1)
		}
		return r
	}
	t.Run("the caller goes on", func(t *testing.T) {
		r := build()
		r.fail = func(read int) error {
			if read%2 == 0 {
				return down
			}
			return nil
		}
		scan := &Scan{Lister: r, PageSize: 10}
		rows, failures := 0, 0
		for _, err := range scan.All(t.Context()) {
			if err != nil {
				failures++
				continue
			}
			rows++
		}
		if rep := scan.Report(); rows != 50 || failures == 0 || !rep.Agreed {
			t.Errorf("%d rows, %d failures, report %+v", rows, failures, rep)
		}
	})
	t.Run("the caller leaves", func(t *testing.T) {
		r := build()
		r.fail = func(read int) error {
			if read == 3 {
				return down
			}
			return nil
		}
		scan := &Scan{Lister: r, PageSize: 10}
		for _, err := range scan.All(t.Context()) {
			if err != nil {
				break
			}
		}
		if rep := scan.Report(); rep.Agreed || rep.Doubt != doubtUnfinished || r.reads != 3 {
			t.Errorf("report %+v after %d reads", rep, r.reads)
		}
	})
	t.Run("the caller leaves in the second pass", func(t *testing.T) {
		r := build()
		r.change = func() {
			if r.reads == 2 {
				r.rows[0].Status = Accepted
			}
		}
		scan := &Scan{Lister: r}
		n := 0
		for range scan.All(t.Context()) {
			if n++; n == 51 {
				break
			}
		}
		if rep := scan.Report(); rep.Agreed || rep.Doubt != doubtUnfinished || rep.Passes != 1 {
			t.Errorf("report %+v", rep)
		}
	})
	t.Run("down for good", func(t *testing.T) {
		r := build()
		r.fail = func(int) error { return down }
		failures := 0
		scan := &Scan{Lister: r}
		for _, err := range scan.All(t.Context()) {
			if !errors.Is(err, KindUnavailable) {
				t.Errorf("got %v", err)
			}
			failures++
		}
		if failures != maxFailures || r.reads != maxFailures {
			t.Errorf("%d failures, %d reads, want %d", failures, r.reads, maxFailures)
		}
	})
	t.Run("the hook refuses", func(t *testing.T) {
		r := build()
		scan := &Scan{Lister: r, Before: func(context.Context) error { return KindQuota }}
		for _, err := range scan.Recent(t.Context(), time.Time{}) {
			if !errors.Is(err, KindQuota) {
				t.Errorf("got %v", err)
			}
			break
		}
		if r.reads != 0 || scan.Report().Reads != 0 {
			t.Errorf("%d reads", r.reads)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := build()
		r.fail = func(read int) error {
			if read == 2 {
				cancel()
			}
			return nil
		}
		scan := &Scan{Lister: r, PageSize: 10}
		var errs []error
		for _, err := range scan.All(ctx) {
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || r.reads != 2 {
			t.Errorf("errors %v after %d reads", errs, r.reads)
		}
	})
}

func TestScanConfig(t *testing.T) {
	r := newRegister(1)
	for _, s := range []*Scan{
		{}, {Lister: r, PageSize: 2}, {Lister: r, PageSize: 501}, {Lister: r, PageSize: -1},
		{Lister: r, PageSize: 10, Overlap: 10}, {Lister: r, Overlap: -1},
	} {
		for _, seq := range []func(func(Invitation, error) bool){s.All(t.Context()), s.Recent(t.Context(), time.Time{})} {
			n := 0
			for _, err := range seq {
				if n++; !errors.Is(err, KindMalformed) {
					t.Errorf("%+v: %v", s, err)
				}
			}
			if n != 1 {
				t.Errorf("%+v: %d values", s, n)
			}
		}
	}
	if r.reads != 0 {
		t.Error("something was read")
	}
}
