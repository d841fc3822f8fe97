package tasks

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// canary is in nothing that is printed, logged or marshalled, however it is
// nested: neither as it is, nor in hexadecimal, nor as a list of numbers.
const canary = "canary.bird@cage.example"

func leaks(out string) bool {
	for _, part := range []string{"canary.bird", "cage.example"} {
		numbers := strings.Trim(fmt.Sprint([]byte(part)), "[]")
		for _, form := range []string{part, fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), fmt.Sprintf("% x", part), numbers} {
			if strings.Contains(out, form) {
				return true
			}
		}
	}
	return false
}

// carriers are the ways in which an address is held.
func carriers(t *testing.T) map[string]any {
	t.Helper()
	e := mustEmail(t, canary)
	i := Invite{EmailAddress: e, ID: "inq_1", Lane: Import, PublicMetadata: json.RawMessage(`{"a":1}`)}
	type hidden struct {
		email  Email
		invite Invite
		more   []Email
		byName map[string]*Invite
	}
	type open struct {
		Email   Email
		Pointer *Email
		Invite  Invite
		Deep    struct{ Invites []*Invite }
		Any     any
	}
	type embedded struct{ Email }
	values := map[string]any{
		"email":            e,
		"email pointer":    &e,
		"slice":            []Email{e},
		"array":            [1]Email{e},
		"map value":        map[string]Email{"x": e},
		"map key":          map[Email]int{e: 1},
		"embedded":         embedded{e},
		"any":              []any{e, &e, i, &i},
		"invite":           i,
		"invite pointer":   &i,
		"invites":          []Invite{i},
		"invite pointers":  []*Invite{&i},
		"unexported":       hidden{e, i, []Email{e}, map[string]*Invite{"x": &i}},
		"unexported, by *": &hidden{e, i, []Email{e}, map[string]*Invite{"x": &i}},
		"exported":         open{Email: e, Pointer: &e, Invite: i, Deep: struct{ Invites []*Invite }{[]*Invite{&i}}, Any: e},
		"create":           Create{ID: "inq_1", Invite: &i},
		"bulk create":      BulkCreate{ImportID: "imp_1", Invites: []Invite{i}},
		"revoke":           Revoke{Target: canary},
		"revoke pointer":   &Revoke{Target: canary},
		"revokes":          []Revoke{{Target: canary}},
		"channel":          make(chan Email, 1),
		"func":             func() Email { return e },
	}
	return values
}

func TestFmtMasks(t *testing.T) {
	for name, v := range carriers(t) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%p", "%T", "%10v", "%#x", "% x"} {
			if strings.HasPrefix(name, "revoke") && !strings.ContainsAny(verb, "vsqxX") {
				continue // A string under a wrong verb is printed as it is: see Revoke.Target.
			}
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%s of %s: %s", verb, name, out)
			}
		}
		if out := fmt.Sprint(v) + fmt.Sprintln(v) + fmt.Errorf("about %v", v).Error(); leaks(out) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestWireFormIsNotForPrinting holds what is masked of the types that are on
// the wire and therefore have the address in a plain field.
func TestWireFormIsNotForPrinting(t *testing.T) {
	j := Invite{EmailAddress: mustEmail(t, canary), ID: "inq_1"}.JSON()
	for _, v := range []any{j, &j, []InviteJSON{j}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%s: %s", verb, out)
			}
		}
	}
	if out, err := json.Marshal(j); err != nil || !leaks(string(out)) {
		t.Errorf("the wire form does not hold the address: %s, %v", out, err)
	}
}

func TestMarshalMasks(t *testing.T) {
	for name, v := range carriers(t) {
		out, err := json.Marshal(v)
		if leaks(string(out)) || err != nil && leaks(err.Error()) {
			t.Errorf("json of %s: %s, %v", name, out, err)
		}
		if x, err := xml.Marshal(v); leaks(string(x)) || err != nil && leaks(err.Error()) {
			t.Errorf("xml of %s: %s, %v", name, x, err)
		}
	}
	out, err := json.Marshal(map[string]any{"email": mustEmail(t, canary), "invite": Invite{ID: "inq_1"}, "none": Email{}})
	if want := `{"email":"c***@c***","invite":"invite inq_1 (interactive)","none":""}`; string(out) != want || err != nil {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}

// An address does not come back from JSON by accident, either: whoever means
// to read one uses InviteJSON.
func TestUnmarshalRefuses(t *testing.T) {
	var into struct {
		Email  Email
		Invite Invite
	}
	for _, in := range []string{`{"Email":"` + canary + `"}`, `{"Invite":"` + canary + `"}`, `{"Invite":{"EmailAddress":"` + canary + `"}}`} {
		err := json.Unmarshal([]byte(in), &into)
		if err == nil || leaks(err.Error()) || !into.Email.IsZero() || !into.Invite.EmailAddress.IsZero() {
			t.Errorf("Unmarshal: %v, %v", into, err)
		}
	}
}

func TestZerologMasks(t *testing.T) {
	for name, v := range carriers(t) {
		var b bytes.Buffer
		log := zerolog.New(&b)
		log.Info().Any("a", v).Interface("i", v).Type("t", v).Msg("")
		log.Info().Fields(map[string]any{"f": v}).Fields([]any{"g", v}).Msg("")
		log.Info().Str("s", fmt.Sprint(v)).Msgf("%v %+v", v, v)
		log.Err(fmt.Errorf("%v", v)).Dict("d", zerolog.Dict().Any("a", v)).Msg("")
		log.Info().Array("r", zerolog.Arr().Interface(v)).Msg("")
		log.Info().Any("l", []any{v}).Any("m", map[string]any{"x": v}).Msg("")
		if s, ok := v.(fmt.Stringer); ok {
			log.Info().Stringer("s", s).Stringers("t", []fmt.Stringer{s}).Msg("")
		}
		context := log.With().Any("c", v).Logger()
		context.Info().Msg("")
		if leaks(b.String()) {
			t.Errorf("zerolog of %s: %s", name, b.String())
		}
	}
}

func TestErrorsMask(t *testing.T) {
	field := func(s string) error {
		_, err := InviteJSON{EmailAddress: s, ID: s, Lane: s, ImportID: s, RedirectURL: s, TemplateSlug: s, PublicMetadata: json.RawMessage(s)}.Invite()
		return err
	}
	parse := func(payload string) error {
		_, create := ParseCreate([]byte(payload))
		_, bulk := ParseBulkCreate([]byte(payload))
		_, revoke := ParseRevoke([]byte(payload))
		_, reconcile := ParseReconcile([]byte(payload))
		return errors.Join(create, bulk, revoke, reconcile)
	}
	_, lane := ParseLane(canary)
	_, mail := ParseEmail(canary + ".")
	errs := []error{
		lane, mail, CheckID(canary), CheckInstance(canary), CheckTarget(canary + "@"), field(canary), field("<" + canary + ">"),
		parse(canary), parse(`"` + canary + `"`), parse(`["` + canary + `"]`), parse(`{"` + canary + `":1}`),
		parse(`{"v":"` + canary + `"}`), parse(`{"v":1,"canary.bird%40cage.example":1}`),
		parse(`{"v":1,"id":["` + canary + `"]}`), parse(`{"v":1,"not_before":"` + canary + `"}`),
		parse(`{"v":1,"deadline":{"` + canary + `":1}}`), parse(`{"v":1,"notify":"` + canary + `"}`),
		parse(`{"v":1,"expires_in_days":"` + canary + `"}`), parse(`{"v":1,"id":"` + canary + `"}`),
		parse(`{"v":1,"target":"<` + canary + `>"}`), parse(`{"v":1,"invites":"` + canary + `"}`),
		parse(`{"v":1,"import_id":"` + canary + `","invites":[{"email_address":"` + canary + `."}]}`),
		parse(`{"v":1,"email_address":"` + canary), parse(`{"v":1} ` + canary), parse(`{"` + canary + `":1,"` + canary + `":2}`),
	}
	for n, err := range errs {
		switch {
		case err == nil:
			t.Errorf("error %d is nil", n)
		case leaks(err.Error()) || leaks(fmt.Sprintf("%+v %#v", err, err)):
			t.Errorf("error %d: %v", n, err)
		}
	}
}
