package worker

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

const inspectEvery = time.Minute

// conditions looks after what the promises rest on: how Redis is configured, and how
// full it is. It logs one line for each change. Nothing stops because of it; it can
// turn /readyz red.
type conditions struct {
	inspect func(context.Context) (redisconn.Findings, error)
	health  *health
	log     zerolog.Logger
	require bool // Config.RequireDurable

	mu    sync.Mutex
	found redisconn.Findings
}

func (c *conditions) run(ctx context.Context) {
	for ctx.Err() == nil {
		if found, err := c.inspect(ctx); err == nil { // else the pulse says so
			c.note(found)
		}
		nudges(nil).sleep(ctx, inspectEvery)
	}
}

func (c *conditions) note(found redisconn.Findings) {
	c.mu.Lock()
	before := c.found
	c.found = found
	c.mu.Unlock()
	var texts []string
	for _, word := range tasks.Conditions() {
		_, was := before[word]
		_, is := found[word]
		switch {
		case is && !was:
			c.log.Warn().Str("condition", string(word)).Msg(found.Text(word))
		case was && !is:
			c.log.Info().Str("condition", string(word)).Msg("Redis fulfils this again")
		}
		if is && word != tasks.ConditionNearlyFull {
			texts = append(texts, found.Text(word))
		}
	}
	if c.require {
		c.health.set(tasks.ProblemDurability, strings.Join(texts, " "))
	}
}

// Conditions returns what the promises rest on and Redis does not fulfil, or does not
// tell: what it means, what was seen, and what to do. Empty means that all is well.
func (w *Worker) Conditions() map[tasks.Condition]string {
	w.conditions.mu.Lock()
	defer w.conditions.mu.Unlock()
	texts := map[tasks.Condition]string{}
	for word := range w.conditions.found {
		texts[word] = w.conditions.found.Text(word)
	}
	return texts
}
