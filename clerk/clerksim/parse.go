package clerksim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseLimits reads limits as in "single=100/1h,bulk=25/1h,other=1000/10s". A
// limit that is not named stays zero, which stands for the published one;
// "unlimited" lifts one. Every problem is named.
func ParseLimits(text string) (Limits, error) {
	var l Limits
	fields := map[string]*Limit{"single": &l.Single, "bulk": &l.Bulk, "other": &l.Other}
	var errs []error
	for part := range parts(text) {
		name, value, _ := strings.Cut(part, "=")
		field := fields[name]
		if field == nil {
			errs = append(errs, fmt.Errorf("limit %q: want single, bulk or other, as in single=100/1h", part))
			continue
		}
		limit, err := parseLimit(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("limit %q: %w", part, err))
			continue
		}
		*field = limit
	}
	return l, errors.Join(errs...)
}

func parseLimit(text string) (Limit, error) {
	if text == "unlimited" {
		return Unlimited, nil
	}
	number, window, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	d, errWindow := time.ParseDuration(window)
	if err != nil || errWindow != nil || n < 1 || d <= 0 {
		return Limit{}, errors.New("want a number and a window, as in 100/1h, or unlimited")
	}
	return Limit{N: n, Window: d}, nil
}

// ParseSwitches reads switches as in "limiter=bucket,refused-count,lag=2s"; a
// switch without a value is switched on. AllSwitches has their names and
// values. Every problem is named.
func ParseSwitches(texts ...string) (Switches, error) {
	var s Switches
	errs := []error{s.normalize()}
	for _, text := range texts {
		for part := range parts(text) {
			name, value, given := strings.Cut(part, "=")
			i := slices.IndexFunc(switchTable, func(sw Switch) bool { return sw.Name == name })
			if i < 0 {
				var names []string
				for _, sw := range switchTable {
					names = append(names, sw.Name)
				}
				errs = append(errs, fmt.Errorf("clerksim: unknown switch %q: want one of %s", name, strings.Join(names, ", ")))
				continue
			}
			if !given {
				value = "true"
			}
			errs = append(errs, switchTable[i].apply(&s, value))
		}
	}
	return s, errors.Join(errs...)
}

// FaultHelp says in one line what ParseFaults reads.
const FaultHelp = `[op/]kind[=argument][:condition]..., for example drop-after:3%, create/error-before=503:1%, slow-after=15s:x2, overload:2m..5m`

// ParseFaults reads faults, separated by commas, each
//
//	[op/]kind[=argument][:condition]...
//
// The op is one of create, bulk_create, list, revoke, delete, users, users_count; without
// it every request may be struck. The kinds are the FaultKinds, and three that
// only wait: slow-before and slow-after, with a duration, and lag, with a
// duration. Arguments are a status for error-before, error-after,
// refuse-after, gateway-before, gateway-after, redirect and partial-bulk, the Retry-After of
// throttle and overload, and "reset" for the drops. Conditions are a share
// (3%), a number of requests (x2) and a time since the start (2m..5m, 2m..).
// Every problem is named.
func ParseFaults(texts ...string) ([]Rule, error) {
	var rules []Rule
	var errs []error
	for _, text := range texts {
		for part := range parts(text) {
			r, err := parseFault(part)
			if err == nil {
				err = r.check()
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("fault %q: %w", part, err))
				continue
			}
			rules = append(rules, r)
		}
	}
	return rules, errors.Join(errs...)
}

func parseFault(text string) (r Rule, err error) {
	fields := strings.Split(text, ":")
	if op, rest, ok := strings.Cut(fields[0], "/"); ok {
		r.Op, fields[0] = Op(op), rest
	}
	kind, arg, given := strings.Cut(fields[0], "=")
	if r.Fault, err = parseKind(kind, arg, given); err != nil {
		return r, err
	}
	for _, condition := range fields[1:] {
		if err := r.parseCondition(condition); err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseKind(kind, arg string, given bool) (f Fault, err error) {
	if to := map[string]*time.Duration{"slow-before": &f.Delay, "slow-after": &f.Hold, "lag": &f.Lag}[kind]; to != nil {
		if *to, err = time.ParseDuration(arg); err != nil || *to <= 0 {
			return f, fmt.Errorf("want a duration, as in %s=15s", kind)
		}
		return f, nil
	}
	f.Kind = FaultKind(kind)
	if !slices.Contains(faultKinds, f.Kind) {
		return f, fmt.Errorf("unknown kind: want one of %s", strings.Join(kindNames(), ", "))
	}
	if !given {
		return f, nil
	}
	switch f.Kind {
	case ErrorBefore, ErrorAfter, RefuseAfter, GatewayBefore, GatewayAfter, Redirect, PartialBulk:
		if f.Status, err = strconv.Atoi(arg); err != nil {
			return f, fmt.Errorf("want a status, as in %s=503", kind)
		}
	case Throttle, Overload:
		f.RetryAfter = arg
	case DropBefore, DropAfter:
		if arg != "reset" {
			return f, fmt.Errorf("want no argument, or %s=reset", kind)
		}
		f.Reset = true
	default:
		return f, errors.New("takes no argument")
	}
	return f, nil
}

func kindNames() []string {
	var names []string
	for _, k := range faultKinds {
		names = append(names, string(k))
	}
	return append(names, "slow-before", "slow-after", "lag")
}

func (r *Rule) parseCondition(text string) (err error) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		r.Rate, err = strconv.ParseFloat(share, 64)
		if r.Rate /= 100; err != nil || !(r.Rate > 0 && r.Rate <= 1) {
			return fmt.Errorf("condition %q: want a share above 0%% and up to 100%%", text)
		}
		return nil
	}
	if times, ok := strings.CutPrefix(text, "x"); ok {
		if r.Times, err = strconv.Atoi(times); err != nil || r.Times < 1 {
			return fmt.Errorf("condition %q: want a number of requests, as in x2", text)
		}
		return nil
	}
	if from, until, ok := strings.Cut(text, ".."); ok {
		if r.From, err = time.ParseDuration(from); err == nil && until != "" {
			r.Until, err = time.ParseDuration(until)
		}
		if err != nil || until != "" && r.Until <= r.From {
			return fmt.Errorf("condition %q: want a time since the start, as in 2m..5m", text)
		}
		return nil
	}
	return fmt.Errorf("condition %q: want a share (3%%), a number (x2) or a time (2m..5m)", text)
}

// String renders the rule as ParseFaults reads it, as far as that has words for it.
func (r Rule) String() string {
	var b strings.Builder
	if r.Op != "" {
		b.WriteString(string(r.Op) + "/")
	}
	f := r.Fault
	switch {
	case f.Kind == "" && f.Delay > 0:
		b.WriteString("slow-before=" + shortDuration(f.Delay))
	case f.Kind == "" && f.Hold > 0:
		b.WriteString("slow-after=" + shortDuration(f.Hold))
	case f.Kind == "":
		b.WriteString("lag=" + shortDuration(f.Lag))
	case f.Reset:
		b.WriteString(string(f.Kind) + "=reset")
	case f.Status != 0:
		b.WriteString(string(f.Kind) + "=" + strconv.Itoa(f.Status))
	case f.RetryAfter != "":
		b.WriteString(string(f.Kind) + "=" + f.RetryAfter)
	default:
		b.WriteString(string(f.Kind))
	}
	if r.Rate > 0 && r.Rate < 1 {
		b.WriteString(":" + strconv.FormatFloat(r.Rate*100, 'g', 12, 64) + "%")
	}
	if r.Times > 0 {
		b.WriteString(":x" + strconv.Itoa(r.Times))
	}
	if r.From > 0 || r.Until > 0 {
		b.WriteString(":" + shortDuration(r.From) + "..")
		if r.Until > 0 {
			b.WriteString(shortDuration(r.Until))
		}
	}
	return b.String()
}

// parts yields the parts of a list separated by commas, without blanks around
// them and without empty ones.
func parts(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// shortDuration renders a duration without zero units: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
