package api

import (
	"errors"
	"strings"
	"testing"
)

// TestUnavailableSaysWhatIsWrong, and neither where Redis is nor what it was told.
func TestUnavailableSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"OOM command not allowed when used memory > 'maxmemory'.":                          "Redis is full (maxmemory)",
		"ERR unknown command 'EVALSHA', with args beginning with: 'f00' 'ada@example.com'": "Redis does not know a command that is needed (evalsha)",
		"something else about 10.0.0.1":                                                    "The queue cannot be reached at the moment.",
	} {
		a := unavailable(errors.New(text))
		long := a.problems[0].LongMessage
		if !strings.Contains(long, want) || strings.Contains(long, "ada@") || strings.Contains(long, "10.0.0.1") {
			t.Errorf("%s: got %q", text, long)
		}
	}
}
