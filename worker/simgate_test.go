package worker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// gateWatch looks at every turn that is taken: none goes through a closed gate
// but the one probe. It compares with the gate as it stood before and after the
// script, because gates change at any time.
type gateWatch struct {
	world *world
	mu    sync.Mutex
	found []string
	turns int
	asked map[string]bool   // turns
	at    time.Time         // of the last turn
	atOne int               // how many were asked for at that moment
	ended map[string]bool   // turns whose end was sent to Redis
	probe map[string]string // the turn that probes, by endpoint
}

const gateKey = "inviteq:{default}:gate"

func (g *gateWatch) hook() redis.Hook { return turnHook{g} }

type turnHook struct{ *gateWatch }

func (turnHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (turnHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h turnHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		turn := turnOf(cmd)
		if turn == "" {
			h.noteEnd(cmd)
			return next(ctx, cmd)
		}
		h.hurry()
		again := h.again(turn)
		single, bulk := h.gate("single"), h.gate("bulk")
		err := next(ctx, cmd)
		c, ok := cmd.(*redis.Cmd)
		if err != nil || !ok {
			return err
		}
		reply, _ := c.Val().([]any)
		// A claim that is told again, because its answer was lost, was taken earlier.
		if len(reply) < 4 || reply[0] != "claim" || again {
			return nil
		}
		endpoint, _ := reply[1].(string)
		before := single
		if endpoint == "bulk" {
			before = bulk
		}
		h.judge(turn, endpoint, before, h.gate(endpoint), reply[3] == "1")
		return nil
	}
}

// turnOf returns the id of the turn that a command asks for, if it is one:
// EVALSHA sha 1 prefix now turn …
func turnOf(cmd redis.Cmder) string {
	if args := cmd.Args(); len(args) > 5 {
		if turn, ok := args[5].(string); ok && strings.HasPrefix(turn, "turn_") {
			return turn
		}
	}
	return ""
}

// noteEnd notes the turn that a command ends, if it is one that counts its token
// or gives it back: EVALSHA sha 1 prefix now endpoint turn token …
func (g *gateWatch) noteEnd(cmd redis.Cmder) {
	args := cmd.Args()
	if len(args) < 8 {
		return
	}
	turn, ok := args[6].(string)
	if !ok || !strings.HasPrefix(turn, "turn_") || args[7] == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == nil {
		g.ended = map[string]bool{}
	}
	g.ended[turn] = true
}

// again reports whether this turn has been asked for before.
func (g *gateWatch) again(turn string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked == nil {
		g.asked = map[string]bool{}
	}
	was := g.asked[turn]
	g.asked[turn] = true
	return was
}

// hurry complains when turns are asked for without a pause, and makes one: the
// bubble's clock would stand still.
func (g *gateWatch) hurry() {
	const most = 1000
	g.mu.Lock()
	if now := time.Now(); now.Equal(g.at) {
		g.atOne++
	} else {
		g.at, g.atOne = now, 0
	}
	many := g.atOne > most
	if many {
		g.found, g.atOne = append(g.found, fmt.Sprintf("%d turns were asked for at one moment", most)), 0
	}
	g.mu.Unlock()
	if many {
		time.Sleep(time.Second)
	}
}

// gateState is one endpoint's gate.
type gateState struct{ until, probe int64 }

func (g *gateWatch) gate(endpoint string) gateState {
	read := func(field string) int64 {
		n, _ := strconv.ParseInt(g.world.mini.HGet(gateKey, endpoint+"."+field), 10, 64)
		return n
	}
	return gateState{read("until"), read("probe")}
}

func (g *gateWatch) judge(turn, endpoint string, before, after gateState, probe bool) {
	now := g.world.redisTime().UnixMilli()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turns++
	switch closed := before.until > 0 && before.until == after.until; {
	case closed && before.until > now:
		g.found = append(g.found, fmt.Sprintf("at %d: a call to %s is claimed although its gate is closed until %d", now, endpoint, before.until))
	case closed && !probe:
		g.found = append(g.found, fmt.Sprintf("at %d: a call to %s goes through a gate that waits for its probe", now, endpoint))
	case closed && probe && before.probe > now && !g.ended[g.probe[endpoint]]:
		g.found = append(g.found, fmt.Sprintf("at %d: a second probe of %s", now, endpoint))
	}
	if probe {
		if g.probe == nil {
			g.probe = map[string]string{}
		}
		g.probe[endpoint] = turn
	}
}
