package outbox_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// roleEnv makes a process of this test binary something that is killed.
const roleEnv = "OUTBOX_ROLE"

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleEnv)]; ok {
		if err := role(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(redistest.Main(m))
}
