package enqueue_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// redisURL is where the examples find a Redis. The tests have a real one.
var redisURL string

func TestMain(m *testing.M) {
	mini, err := miniredis.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	redisURL = "redis://" + mini.Addr()
	code := redistest.Main(m)
	mini.Close()
	os.Exit(code)
}
