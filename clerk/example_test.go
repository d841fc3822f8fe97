package clerk_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
)

// simulated returns a client of a simulated Clerk, for the examples.
func simulated() (*clerk.Client, *clerksim.Sim, error) {
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		return nil, nil, err
	}
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		return nil, nil, err
	}
	client, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: clerksim.PipeURL, DialContext: sim.DialContext})
	return client, sim, err
}

// What a caller of a POST has to tell apart.
func ExampleKind() {
	client, sim, err := simulated()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	defer sim.Close()
	sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter}, 1)

	for range 2 {
		_, err := client.Create(context.Background(), clerk.Params{EmailAddress: "ada@example.com"})
		switch kind := clerk.KindOf(err); {
		case err == nil:
			fmt.Println("delivered")
		case kind.MayHaveTakenEffect():
			fmt.Println("look before sending it again:", err)
		case errors.Is(err, clerk.KindDuplicate):
			fmt.Println("somebody, perhaps we, invited them before")
		default:
			fmt.Println("certainly not delivered:", err)
		}
	}
	// Output:
	// look before sending it again: clerk: create: unknown (eof): it may have taken effect; look before sending it again
	// somebody, perhaps we, invited them before
}

// A worker waits for the breaker, and asks whether Clerk is back with a read.
func ExampleClient_Ready() {
	client, sim, err := simulated()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	defer sim.Close()

	awaitClerk := func(ctx context.Context) error {
		for {
			ok, retryAt := client.Ready()
			if ok {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(retryAt)):
			}
			_ = client.Probe(ctx) // Ready tells the result
		}
	}
	fmt.Println(awaitClerk(context.Background()))
	// Output: <nil>
}

// Absence means something only if the scan agreed with itself.
func ExampleScan() {
	client, sim, err := simulated()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	defer sim.Close()
	for _, who := range []string{"ada", "bob", "cyn"} {
		if _, err := sim.CreateForeign(who + "@example.com"); err != nil {
			fmt.Println(err)
			return
		}
	}

	scan := &clerk.Scan{Lister: client}
	pending := 0
	for inv, err := range scan.All(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if inv.Status == clerk.Pending {
			pending++
		}
	}
	r := scan.Report()
	fmt.Printf("%d pending of %d, %d passes, agreed %v\n", pending, r.Rows, r.Passes, r.Agreed)
	// Output: 3 pending of 3, 2 passes, agreed true
}
