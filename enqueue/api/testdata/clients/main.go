// Drives the API by the client that oapi-codegen has made of openapi.yaml. Every answer is
// decoded a second time, and a member that the document does not name is an error.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"client/inviteq"
)

// must says which call failed, and what was answered.
func must[T any](what string, answer *T, err error, res *http.Response, body []byte) T {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
	if answer == nil {
		log.Fatalf("%s: %s: %s", what, res.Status, body)
	}
	var strict T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&strict); err != nil {
		log.Fatalf("%s: the answer is not as documented: %v: %s", what, err, body)
	}
	return *answer
}

func check(is bool, what string, got any) {
	if !is {
		log.Fatalf("%s: got %+v", what, got)
	}
}

func main() {
	ctx := context.Background()
	c, err := inviteq.NewClientWithResponses(os.Getenv("API_URL")+"/v1", inviteq.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("API_TOKEN"))
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	wait := float32(20)

	key := inviteq.IdempotencyKey("order-1")
	r1, err := c.CreateInvitationWithResponse(ctx, &inviteq.CreateInvitationParams{Wait: &wait, IdempotencyKey: &key}, inviteq.InvitationParams{
		EmailAddress: "ada@example.com", PublicMetadata: &map[string]any{"plan": "pro"},
	})
	ada := must("create", r1.JSON200, err, r1.HTTPResponse, r1.Body)
	check(ada.Inviteq.State == "pending" && strings.HasPrefix(ada.Id, "inv_") && ada.PublicMetadata["plan"] == "pro", "create", ada)

	r2, err := c.CreateBulkInvitationsWithResponse(ctx, &inviteq.CreateBulkInvitationsParams{Wait: &wait}, inviteq.CreateBulkInvitationsJSONRequestBody{
		{EmailAddress: "bob@example.com"}, {EmailAddress: "cy@example.com"},
	})
	bulk := must("bulk", r2.JSON200, err, r2.HTTPResponse, r2.Body)
	check(len(bulk) == 2, "bulk", bulk)

	limit := 2
	r3, err := c.ListInvitationsWithResponse(ctx, &inviteq.ListInvitationsParams{Limit: &limit})
	if err != nil || r3.JSON200 == nil {
		log.Fatal("list: ", err, string(r3.Body))
	}
	all, err := r3.JSON200.AsInvitations()
	list := must("list", &all, err, r3.HTTPResponse, r3.Body)
	check(len(list) == 2, "list", list)
	paginated := true
	r4, err := c.ListInvitationsWithResponse(ctx, &inviteq.ListInvitationsParams{Paginated: &paginated})
	if err != nil || r4.JSON200 == nil {
		log.Fatal("page: ", err, string(r4.Body))
	}
	some, err := r4.JSON200.AsInvitationPage()
	page := must("page", &some, err, r4.HTTPResponse, r4.Body)
	check(page.TotalCount == 3, "page", page)

	r5, err := c.GetInviteWithResponse(ctx, "order-1")
	invite := must("status", r5.JSON200, err, r5.HTTPResponse, r5.Body)
	check(invite.State == "pending" && invite.InvitationId == ada.Id, "status", invite)

	name := "march.csv"
	r6, err := c.CreateImportWithBodyWithResponse(ctx, &inviteq.CreateImportParams{Name: &name}, "text/csv", strings.NewReader("email\ndee@example.com\neve@example.com\n"))
	made := must("import", r6.JSON200, err, r6.HTTPResponse, r6.Body)
	check(made.Admitted == 2 && made.Rows == 2 && made.Name == name, "import", made)
	r7, err := c.ListImportsWithResponse(ctx, nil)
	imports := must("imports", r7.JSON200, err, r7.HTTPResponse, r7.Body)
	check(imports.TotalCount == 2, "imports", imports)
	r8, err := c.GetImportWithResponse(ctx, made.Id)
	one := must("import's state", r8.JSON200, err, r8.HTTPResponse, r8.Body)
	check(one.Total == 2, "import's state", one)
	r9, err := c.RevokeImportWithResponse(ctx, made.Id, nil)
	undone := must("revoke import", r9.JSON200, err, r9.HTTPResponse, r9.Body)
	check(undone.Rows == 2, "revoke import", undone)
	r10, err := c.GetRevokeWithResponse(ctx, undone.RequestId)
	revoke := must("revoke's state", r10.JSON200, err, r10.HTTPResponse, r10.Body)
	check(revoke.ImportId == made.Id, "revoke's state", revoke)

	r11, err := c.RevokeInvitationWithResponse(ctx, ada.Id, &inviteq.RevokeInvitationParams{Wait: &wait})
	taken := must("revoke", r11.JSON200, err, r11.HTTPResponse, r11.Body)
	check(taken.Status == "revoked" && *taken.Revoked, "revoke", taken)
	r12, err := c.DeleteInvitationWithResponse(ctx, ada.Id, nil)
	gone := must("delete", r12.JSON200, err, r12.HTTPResponse, r12.Body)
	check(gone.Id == ada.Id, "delete", gone)
	r13, err := c.RevokeInvitationWithResponse(ctx, "inq_nobody", nil)
	refused := must("an error", r13.JSONDefault, err, r13.HTTPResponse, r13.Body)
	check(r13.StatusCode() == 404 && refused.Errors[0].Code == "resource_not_found", "an error", refused)
	r14, err := c.ForgetPersonWithResponse(ctx, inviteq.ForgetPersonJSONRequestBody{EmailAddress: "bob@example.com"})
	forgotten := must("forget", r14.JSON200, err, r14.HTTPResponse, r14.Body)
	check(len(forgotten.Invites) == 1, "forget", forgotten)
	fmt.Println("done")
}
