package clerksim_test

import (
	"fmt"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// unlimited lifts every limit.
var unlimited = clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited, Other: clerksim.Unlimited}

// BenchmarkBulk is what a virtual day pays for each bulk call, HTTP and client
// included. It must not depend on how many invitations there are.
func BenchmarkBulk(b *testing.B) {
	for _, known := range []int{0, 200_000} {
		b.Run(fmt.Sprintf("among %d", known), func(b *testing.B) {
			sim := populated(b, known)
			c := pipeClient(b, sim)
			n := known
			for b.Loop() {
				addresses := make([]string, 10)
				for i := range addresses {
					addresses[i] = fmt.Sprintf("p%d@example.com", n)
					n++
				}
				if r := c.bulk(addresses...); r.status != 200 {
					b.Fatal(r.status)
				}
			}
		})
	}
}

// BenchmarkList is a page of a list, first or far inside.
func BenchmarkList(b *testing.B) {
	sim := populated(b, 200_000)
	c := pipeClient(b, sim)
	for _, query := range []string{"limit=10", "limit=500", "limit=500&order_by=%2Bcreated_at&offset=150000", "query=p77777@example.com", "limit=10&order_by=email_address"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				c.do("GET", "/invitations?"+query, "")
			}
		})
	}
}

func populated(b *testing.B, n int) *clerksim.Sim {
	b.Helper()
	sim, err := clerksim.New(clerksim.Config{Limits: unlimited})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sim.Close)
	for i := range n {
		if _, err := sim.CreateForeign(fmt.Sprintf("p%d@example.com", i)); err != nil {
			b.Fatal(err)
		}
	}
	return sim
}
