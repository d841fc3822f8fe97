package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// A service invites somebody who has just signed up, and looks how far that is.
func Example() {
	ctx := context.Background()
	c, err := enqueue.New(enqueue.Config{RedisURL: redisURL})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ada, err := tasks.ParseEmail("ada@example.com")
	if err != nil {
		log.Fatal(err)
	}
	invite, err := c.Invite(ctx, tasks.Invite{
		ID:             "signup-4711", // Your own name for it: repeat the call as often as you like.
		EmailAddress:   ada,
		RedirectURL:    "https://app.example.com/welcome",
		PublicMetadata: []byte(`{"plan":"pro"}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(invite.ID, invite.State)

	found, err := c.Status(ctx, "ada@example.com")
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range found { // With a worker at work, s.ETA says when it goes.
		fmt.Println(s.ID, s.State, s.EmailAddress)
	}
	// Output:
	// signup-4711 queued
	// signup-4711 queued a***@e***
}

// The id is an idempotency key.
func ExampleClient_Invite() {
	ctx := context.Background()
	c, err := enqueue.New(enqueue.Config{RedisURL: redisURL, Instance: "example-invite"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ada, err := tasks.ParseEmail("ada@example.com")
	if err != nil {
		log.Fatal(err)
	}
	invite := tasks.Invite{ID: "signup-4711", EmailAddress: ada}
	for range 2 {
		r, err := c.Invite(ctx, invite)
		fmt.Println(r.State, "existing:", r.Existing, err)
	}

	invite.RedirectURL = "/somewhere-else"
	_, err = c.Invite(ctx, invite)
	fmt.Println("conflict:", errors.Is(err, enqueue.ErrConflict))

	_, err = c.Invite(ctx, tasks.Invite{EmailAddress: ada, ExpiresInDays: 400, TemplateSlug: "birthday"})
	fmt.Println(err)
	// Output:
	// queued existing: false <nil>
	// queued existing: true <nil>
	// conflict: true
	// expires_in_days must be 1 to 365; template_slug must be invitation or waitlist_invitation
}

// A list in memory is turned into a sequence; one from a database can be read
// row by row in the same way, and yields the database's error if there is one.
func ExampleClient_BulkInvite() {
	ctx := context.Background()
	c, err := enqueue.New(enqueue.Config{RedisURL: redisURL, Instance: "example-bulk"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	addresses := []string{"ada@example.com", "grace@example.com", "barbara@example.com"}
	list := func(yield func(tasks.Invite, error) bool) {
		for _, a := range addresses {
			email, err := tasks.ParseEmail(a)
			if !yield(tasks.Invite{EmailAddress: email}, err) {
				return
			}
		}
	}
	opts := enqueue.BulkOptions{ImportID: "beta-testers"}
	for range 2 { // The same import again adds nothing.
		r, err := c.BulkInvite(ctx, list, opts)
		fmt.Printf("%d new, %d known, %v\n", r.Admitted, r.Known, err)
	}
	// Output:
	// 3 new, 0 known, <nil>
	// 0 new, 3 known, <nil>
}

// What was not sent yet is canceled at once. What the ledger does not know, a
// worker looks for at Clerk.
func ExampleClient_Revoke() {
	ctx := context.Background()
	c, err := enqueue.New(enqueue.Config{RedisURL: redisURL, Instance: "example-revoke"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ada, err := tasks.ParseEmail("ada@example.com")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Invite(ctx, tasks.Invite{ID: "signup-4711", EmailAddress: ada}); err != nil {
		log.Fatal(err)
	}
	for _, target := range []string{"ada@example.com", "inv_of_somebody_else"} {
		revoked, err := c.Revoke(ctx, target)
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range revoked {
			fmt.Println(r.Verdict)
		}
	}
	// Output:
	// canceled
	// revoke_asked
}

// All goes through a list of any length.
func ExampleClient_All() {
	ctx := context.Background()
	c, err := enqueue.New(enqueue.Config{RedisURL: redisURL, Instance: "example-all"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	list := func(yield func(tasks.Invite, error) bool) {
		for id, address := range map[string]string{"row-1": "ada@example.com"} {
			email, err := tasks.ParseEmail(address)
			if !yield(tasks.Invite{ID: id, EmailAddress: email}, err) {
				return
			}
		}
	}
	if _, err := c.BulkInvite(ctx, list, enqueue.BulkOptions{ImportID: "spring"}); err != nil {
		log.Fatal(err)
	}
	waiting := enqueue.ListOptions{ImportID: "spring", States: []tasks.State{tasks.Queued}}
	for s, err := range c.All(ctx, waiting) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.ID, s.Lane, s.State)
	}
	// Output:
	// row-1 import queued
}
