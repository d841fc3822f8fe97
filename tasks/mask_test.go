package tasks

import "testing"

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		`ada@example.com`: `a***@e***`, `<ada.l+x@mail.example.com>`: `<a***@m***>`, `"to":"ada@example.com"`: `"to":"a***@e***"`,
		`/tasks/ada%40example.com`: `/tasks/a***@e***`, `"ada\u0040example.com"`: `"a***@e***"`, `zoë@exämple.com, b@c.de`: `z***@e***, b***@c***`,
		`no address`: `no address`, `inq_06h0b4pq0pyy41qp8fe9s5gf`: `inq_06h0b4pq0pyy41qp8fe9s5gf`, `a @ b`: `a @ b`,
	} {
		if got := string(Mask([]byte(text))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
