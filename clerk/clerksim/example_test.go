package clerksim_test

import (
	"fmt"
	"net/http"
	"strings"

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
