package clerksim_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// A client whose answer is lost after commit cannot know that the mail is out.
// The history can.
func Example() {
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	client := &http.Client{Transport: sim.Transport()}
	create := func() {
		req, _ := http.NewRequest(http.MethodPost, clerksim.PipeURL+"/invitations", strings.NewReader(`{"email_address":"ada@example.com"}`))
		req.Header.Set("Authorization", "Bearer "+clerksim.DefaultSecretKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println("no answer, mails:", sim.Mails("ada@example.com"))
			return
		}
		defer resp.Body.Close()
		fmt.Println(resp.Status, "mails:", sim.Mails("ada@example.com"))
	}
	sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter}, 1)
	create()
	create()
	// Output:
	// no answer, mails: 1
	// 400 Bad Request mails: 1
}

// signUp is something that uses Clerk, by its official SDK.
func signUp(ctx context.Context, clerkURL, key, address string) error {
	cfg := &clerk.ClientConfig{}
	cfg.URL, cfg.Key = &clerkURL, &key
	_, err := invitation.NewClient(cfg).Create(ctx, &invitation.CreateParams{EmailAddress: address})
	return err
}

// TestSignUp is how a test of one's own uses a simulated Clerk.
func TestSignUp(t *testing.T) {
	sim := clerksim.Start(t, clerksim.Config{})
	if err := signUp(t.Context(), sim.URL, sim.SecretKey, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if sim.Mails("ada@example.com") != 1 {
		t.Error("Ada got no mail")
	}
}

// refusal is a test that Start ends.
type refusal struct {
	clerksim.TB
	said string
}

func (r *refusal) Helper() {}

func (r *refusal) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	panic(r)
}

func TestStartRefuses(t *testing.T) {
	r := new(refusal)
	defer func() {
		if recover() != r || !strings.Contains(r.said, "live") {
			t.Errorf("said %q", r.said)
		}
	}()
	clerksim.Start(r, clerksim.Config{SecretKey: "sk_live_x"})
}
