package clerksim

import (
	"strings"
	"testing"
)

func TestValidEmail(t *testing.T) {
	long := strings.Repeat("l", 64)
	label := strings.Repeat("d", 63)
	for _, good := range []string{
		"a@example.com", "A.B+tag@Sub.Example.co", "o'neil_1@ex-ample.org", "user@bücher.example", "用户@例子.公司", "a@1.de",
		long + "@example.com", "a@" + label + ".com",
	} {
		if !validEmail(good) {
			t.Errorf("%q was refused", good)
		}
	}
	for _, bad := range []string{
		"", "@", "a", "a@", "@example.com", "a@localhost", "a@@example.com", "a b@example.com", " a@example.com", "a@example.com ", "a@example.com\n",
		".a@example.com", "a.@example.com", "a..b@example.com", "a@.com", "a@example.", "a@-x.com", "a@x-.com", "a@ex_ample.com", "<a@example.com>",
		"Ann <a@example.com>", "a,b@example.com", "a@b@example.com", `"a"@example.com`, "a\x00@example.com", "a@exam\xffple.com", "a@[127.0.0.1]",
		long + "l@example.com", "a@" + label + "d.com", "a@" + strings.Repeat(label+".", 4) + "com",
	} {
		if validEmail(bad) {
			t.Errorf("%q was taken", bad)
		}
	}
}
