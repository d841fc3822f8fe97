package enqueue_test

import (
	"os"
	"testing"

	"github.com/inviteq/inviteq/worker/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
