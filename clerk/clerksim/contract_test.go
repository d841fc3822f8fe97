package clerksim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// contract is a RoundTripper that holds every exchange against Clerk's own
// OpenAPI document.
type contract struct {
	t      *testing.T
	doc    *openapi3.T
	router routers.Router
	next   http.RoundTripper

	requestsMayBeWrong bool
	checked            map[string]int // exchanges by operation and status
}

// openContract reads the document named by the environment variable
// CLERK_OPENAPI, or skips the test.
func openContract(t *testing.T) *contract {
	t.Helper()
	path := os.Getenv("CLERK_OPENAPI")
	if path == "" {
		t.Skip("set CLERK_OPENAPI to Clerk's Backend API document (bapi-….yml of github.com/clerk/openapi-specs) to check the simulator against it")
	}
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: clerksim.PipeURL}}
	addDelete(doc)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{t: t, doc: doc, router: router, checked: make(map[string]int)}
}

// addDelete adds the deletion, which the document does not have yet, in the shapes
// that it has for every other deletion.
func addDelete(doc *openapi3.T) {
	const path = "/invitations/{invitation_id}"
	if doc.Paths.Value(path) != nil {
		return
	}
	id := openapi3.NewPathParameter("invitation_id").WithSchema(openapi3.NewStringSchema())
	op := &openapi3.Operation{OperationID: "DeleteInvitation", Parameters: openapi3.Parameters{{Value: id}}, Responses: openapi3.NewResponses(
		openapi3.WithStatus(http.StatusOK, doc.Components.Responses["DeletedObject"]),
		openapi3.WithStatus(http.StatusNotFound, doc.Components.Responses["ResourceNotFound"]),
	)}
	doc.Paths.Set(path, &openapi3.PathItem{Delete: op})
}

// RoundTrip implements http.RoundTripper.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return c.next.RoundTrip(r)
	}
	options := &openapi3filter.Options{
		MultiError: true, IncludeResponseStatus: true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil && !c.requestsMayBeWrong {
		c.t.Errorf("request %s: %v", route.Operation.OperationID, err)
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	c.checked[fmt.Sprintf("%s %d", route.Operation.OperationID, resp.StatusCode)]++
	if err := c.checkAnswer(r.Context(), in, resp, body); err != nil {
		c.t.Errorf("answer to %s: %v\n%s", route.Operation.OperationID, err, body)
	}
	return resp, nil
}

// checkAnswer validates an answer against its operation. The document leaves
// out what every operation may answer, such as 401 and 429; those are held
// against the schema of Clerk's errors. A list with paginated=true is not in the
// document either: its rows are.
func (c *contract) checkAnswer(ctx context.Context, in *openapi3filter.RequestValidationInput, resp *http.Response, body []byte) error {
	if in.Route.Operation.Responses.Status(resp.StatusCode) == nil {
		return visit(c.doc.Components.Schemas["ClerkErrors"].Value, body)
	}
	if in.Request.URL.Query().Get("paginated") == "true" && resp.StatusCode == http.StatusOK {
		var page struct {
			Data       json.RawMessage `json:"data"`
			TotalCount *int            `json:"total_count"`
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&page); err != nil || page.TotalCount == nil {
			return errors.New("not a page")
		}
		return visit(in.Route.Operation.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value, page.Data)
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: in.Options,
	})
}

func visit(schema *openapi3.Schema, body []byte) error {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	return schema.VisitJSON(v, openapi3.VisitAsResponse(), openapi3.MultiErrors())
}

// TestContract holds requests of the official SDK and our answers against
// Clerk's document, over every operation and every refusal.
func TestContract(t *testing.T) {
	check := openContract(t)
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		check.t, check.next = t, sim.Transport()
		c.http.Transport = check

		cfg := &clerk.ClientConfig{}
		cfg.HTTPClient, cfg.URL, cfg.Key = c.http, clerk.String(clerksim.PipeURL), clerk.String(clerksim.DefaultSecretKey)
		invitations, users := invitation.NewClient(cfg), user.NewClient(cfg)
		meta := json.RawMessage(`{"team":{"id":7}}`)
		must := func(_ any, err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		full := func(address string) *invitation.CreateParams {
			return &invitation.CreateParams{
				EmailAddress: address, PublicMetadata: &meta, RedirectURL: new("https://app.example.com/in"), Notify: new(true),
				IgnoreExisting: new(true), ExpiresInDays: clerk.Int64(365), TemplateSlug: new("waitlist_invitation"),
			}
		}
		must(invitations.Create(t.Context(), full("one@example.com")))
		must(invitations.BulkCreate(t.Context(), &invitation.BulkCreateParams{Invitations: []*invitation.CreateParams{full("two@example.com"), full("three@example.com")}}))
		ids := world(t, sim, c)
		must(invitations.List(t.Context(), &invitation.ListParams{Statuses: []string{"revoked"}, Query: new("a"), OrderBy: new("-expires_at")}))
		must(invitations.List(t.Context(), &invitation.ListParams{ListParams: clerk.ListParams{Limit: clerk.Int64(500), Offset: clerk.Int64(1)}}))
		c.list("limit=500")
		c.list("status=revoked&limit=500")
		must(users.List(t.Context(), &user.ListParams{EmailAddresses: []string{"user@example.com", "accepted@example.com"}}))
		must(invitations.Revoke(t.Context(), ids["pending"]))

		check.requestsMayBeWrong = true
		for _, body := range []string{`{}`, `{"email_address":"nobody"}`, `{"email_address":null,"x":1}`, `{`, `{"email_address":"user@example.com"}`,
			`{"email_address":"one@example.com"}`, `{"email_address":"blocked@example.com"}`} {
			c.create(body)
		}
		c.bulk("one@example.com", "two@example.com")
		c.bulk("user@example.com")
		c.bulk(strings.Split(strings.Repeat("x@example.com ", 11), " ")[:11]...)
		for _, id := range []string{ids["revoked"], ids["accepted"], "inv_none"} {
			c.do("POST", "/invitations/"+id+"/revoke", "")
		}
		for _, id := range []string{ids["expired"], ids["expired"]} {
			c.do("DELETE", "/invitations/"+id, "")
		}
		c.do("GET", "/invitations?__clerk_api_version=2020-01-01", "")
		c.do("GET", "/users?limit=0", "")
		for _, kind := range []clerksim.FaultKind{clerksim.ErrorBefore, clerksim.Throttle, clerksim.Locked, clerksim.Unauthorized} {
			sim.Inject("", clerksim.Fault{Kind: kind}, 1)
			c.create(oneInvitation)
		}
		for _, operation := range []string{"CreateInvitation 200", "CreateInvitation 400", "CreateInvitation 422", "CreateInvitation 429", "CreateBulkInvitations 200",
			"CreateBulkInvitations 400", "CreateBulkInvitations 422", "ListInvitations 200", "ListInvitations 400",
			"RevokeInvitation 200", "RevokeInvitation 400", "RevokeInvitation 404", "DeleteInvitation 200", "DeleteInvitation 404",
			"GetUserList 200", "GetUserList 422", "GetUsersCount 200"} {
			if check.checked[operation] == 0 {
				t.Errorf("%s was not checked", operation)
			}
		}
	})
}

// TestNullsOfTheContract sends null for every parameter, to single and to bulk: it
// is taken exactly where Clerk's document says nullable.
func TestNullsOfTheContract(t *testing.T) {
	doc := openContract(t).doc
	schema := func(path string) *openapi3.Schema {
		return doc.Paths.Value(path).Post.RequestBody.Value.Content.Get("application/json").Schema.Value
	}
	inBubble(t, clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited}}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		for path, s := range map[string]*openapi3.Schema{"/invitations": schema("/invitations"), "/invitations/bulk": schema("/invitations/bulk").Items.Value} {
			if len(s.Properties) < 6 {
				t.Fatalf("%s: the document has %d parameters", path, len(s.Properties))
			}
			for name, property := range s.Properties {
				body := map[string]any{"email_address": strings.ReplaceAll(name, "_", ".") + strings.Trim(strings.ReplaceAll(path, "/", "."), ".") + "@example.com"}
				body[name] = nil
				b, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				text := string(b)
				if path == "/invitations/bulk" {
					text = "[" + text + "]"
				}
				r := c.do("POST", path, text)
				if want := property.Value.Nullable; (r.status == 200) != want || !want && r.code(t) != "form_param_nil" {
					t.Errorf("%s: %s null: %d %s; nullable is %t", path, name, r.status, r.body, want)
				}
			}
		}
	})
}
