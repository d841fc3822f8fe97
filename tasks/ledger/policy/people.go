package policy

import "math"

const (
	// Horizons is for how many parts of a window the plan is made, the tightest counts.
	Horizons = 4
	// LackPrice is how many more people a group must have for each bulk that the groups
	// before it have taken ahead of the plan.
	LackPrice = 2
	// SpreadSigmas is how many standard deviations of the demand there must be tokens
	// for, so that everybody goes at once.
	SpreadSigmas = 2
	// EvenSpread tells crowds from people who come one by one: the variance of how many
	// come is at most so many times what chance alone makes. For those EvenSigmas are
	// enough.
	EvenSpread, EvenSigmas = 2, 1
	// BurstTime (ms) is how long those of a dense burst wait for each other.
	BurstTime = 1000
	// MostWaits is the part of a window's span that nobody waits longer than for others
	// to join, as long as there are tokens: 1/30.
	MostWaits  = 30
	LightWaits = 60
)

// people says when the next single and the next bulk may leave for the sake of the
// people who wait.
//
// Somebody who waits now is worse than a burst that replays itself an hour later, when
// its tokens come back. So as long as it seems that every one of them could have a
// call of their own, everybody has the next token at once. When there are too many,
// single calls take those in front of whom nobody waits, and the others wait for each
// other: they go by bulk when there are so many of them that the bulks last.
func people(s *State) (float64, float64) {
	waiting := s.People + s.PeopleOne
	if waiting == 0 {
		return Never, Never
	}
	if s.People >= s.Size {
		return s.Single.HardAt, s.Bulk.HardAt
	}
	hasSingle, hasBulk := s.Single.HardAt <= s.Now, s.Bulk.HardAt <= s.Now
	light := s.Outlook.People <= capacity(s)
	if s.People == 0 { // They must go one by one.
		if light {
			return s.Single.HardAt, Never
		}
		return math.Max(s.Single.HardAt, s.Single.SoftAt), Never
	}
	if light && hasSingle {
		return scatter(s, hasBulk)
	}
	size := plan(s)
	if s.Calm {
		if hasSingle {
			return scatter(s, hasBulk)
		}
		return s.Single.HardAt, linger(s, s.Bulk.HardAt)
	}
	// When those who wait are a group, by the plan.
	groupAt := s.Since + s.BulkQ.Span/MostWaits
	if light {
		groupAt = s.Since + s.BulkQ.Span/LightWaits
		if s.Outlook.Known && s.Outlook.Spread*s.Outlook.Spread <= EvenSpread*s.Outlook.People && s.Outlook.Growing+EvenSigmas*s.Outlook.Spread <= capacity(s) {
			groupAt = s.Since
		}
	}
	spare := float64(s.People) + 0.5 - size
	if spare >= 0 {
		groupAt = math.Min(groupAt, s.GroupTat-s.Gap*spare/LackPrice)
	}
	singleAt, bulkAt := s.Single.HardAt, Never
	if s.People >= 2 || !hasSingle {
		bulkAt = linger(s, math.Max(s.Bulk.HardAt, groupAt))
	}
	if light {
		return singleAt, bulkAt
	}
	if waiting == 1 {
		singleAt = math.Max(singleAt, math.Min(groupAt, s.Single.SoftAt))
	} else if hasBulk && groupAt <= s.Now {
		singleAt = Never // The bulk only lingers.
	} else {
		singleAt = math.Max(singleAt, groupAt)
	}
	return singleAt, bulkAt
}

// scatter is for those who could go at once, each alone. Those of a dense burst wait a
// moment for the next, so that it does not spend the tokens of all who come after it.
func scatter(s *State, hasBulk bool) (float64, float64) {
	at := s.Now
	if s.Single.SoftAt > s.Now && s.Every <= BurstTime {
		at = s.Since + math.Min(BurstTime, s.Bulk.Interval/100)
	}
	if s.People >= 2 && hasBulk && float64(s.People)*s.Bulk.Free >= s.Single.Free {
		return Never, math.Min(linger(s, s.Bulk.HardAt), math.Max(at, s.Now))
	}
	return math.Max(s.Single.HardAt, at), Never
}

// capacity is how many people could have a call of their own in a window.
func capacity(s *State) float64 {
	if s.Single.Limit == 0 || s.Bulk.Limit == 0 {
		return Never
	}
	return s.Single.Limit + s.Bulk.Limit
}

// linger waits for the rest of a burst.
func linger(s *State, at float64) float64 {
	return math.Max(at, s.ArrivedAt+math.Min(LingerTime, s.Bulk.Interval/4))
}

// plan returns how many people must share a bulk so that the tokens suffice until the
// end of the tightest part of the coming window, and sets the gap between such bulks.
// It is calm if there are tokens for everybody.
func plan(s *State) float64 {
	size := 0.0
	s.Calm = true
	for i := range Horizons {
		part := (float64(i) + 1) / Horizons
		singles := s.SingleQ.FreeBy(s.Outlook.MidAt + part*s.SingleQ.Span)
		bulks := s.BulkQ.FreeBy(s.Outlook.MidAt + part*s.BulkQ.Span)
		if s.Outlook.Growing*part+SpreadSigmas*s.Outlook.Spread*math.Sqrt(part) > singles+bulks {
			s.Calm = false
		}
		bulks = math.Max(1, bulks)
		need := (s.Outlook.People*part - singles) / bulks
		if i == 0 || need > size {
			size, s.Gap = need, part*s.BulkQ.Span/bulks
		}
	}
	return math.Min(math.Max(size, 1), float64(s.Size))
}
