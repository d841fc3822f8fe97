package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/webhook"
)

func (w *Worker) mux() *asynq.ServeMux {
	mux := asynq.NewServeMux()
	mux.Use(traced)
	mux.HandleFunc(tasks.TypeCreate, w.handlers.create)
	mux.HandleFunc(tasks.TypeBulkCreate, w.handlers.bulkCreate)
	mux.HandleFunc(tasks.TypeRevoke, w.handlers.revoke)
	mux.HandleFunc(tasks.TypeReconcile, w.schedule.handle)
	mux.HandleFunc(webhook.TaskType, w.relay.handle)
	return mux
}

func (w *Worker) serverConfig() asynq.Config {
	return asynq.Config{
		Concurrency:              w.cfg.Concurrency,
		Queues:                   map[string]int{w.queues.Interactive: 6, w.queues.Control: 3, w.queues.Import: 1},
		TaskCheckInterval:        w.tempo.tasks,
		DelayedTaskCheckInterval: w.tempo.due,
		RetryDelayFunc:           retryDelay,
		IsFailure:                isFailure,
		ErrorHandler:             asynq.ErrorHandlerFunc(w.archived),
		ShutdownTimeout:          w.cfg.ShutdownTimeout - time.Second,
		Logger:                   asynqLogger{w.cfg.Log.With().Str("part", "asynq").Logger(), &w.health},
		LogLevel:                 asynq.WarnLevel,
	}
}

// archived says why a task is put aside for a person: asynq's own line does not.
func (w *Worker) archived(ctx context.Context, task *asynq.Task, err error) {
	retried, _ := asynq.GetRetryCount(ctx)
	most, _ := asynq.GetMaxRetry(ctx)
	if !errors.Is(err, asynq.SkipRetry) && (retried < most || !isFailure(err)) {
		return
	}
	id, _ := asynq.GetTaskID(ctx)
	w.cfg.Log.Warn().Str("id", shown(id)).Str("type", shown(task.Type())).Str("why", shown(err.Error())).Msg("a task is archived")
}

// longestMessage is how much of a message of asynq's is logged: it may quote the id
// of a foreign task, of any length.
const longestMessage = 300

// shown masks and cuts what may come from outside.
func shown(text string) string {
	masked := tasks.Mask([]byte(text[:min(len(text), 2*longestMessage)])) // An address that is cut in two is still seen.
	return string(masked[:min(len(masked), longestMessage)])
}

// asynqLogger passes asynq's few messages on. While Redis is in trouble they are
// many, and say what the log has said already: then they are for debugging.
type asynqLogger struct {
	log    zerolog.Logger
	health *health
}

func (l asynqLogger) at(level zerolog.Level) *zerolog.Event {
	if l.health.has(tasks.ProblemRedis) {
		level = zerolog.DebugLevel
	}
	return l.log.WithLevel(level)
}

func (l asynqLogger) Debug(args ...any) { l.log.Debug().Msg(shown(fmt.Sprint(args...))) }
func (l asynqLogger) Info(args ...any)  { l.log.Info().Msg(shown(fmt.Sprint(args...))) }
func (l asynqLogger) Warn(args ...any) {
	level := zerolog.WarnLevel
	text := fmt.Sprint(args...)
	if strings.HasPrefix(text, "Retry exhausted") {
		level = zerolog.DebugLevel // Worker.archived says it, and why.
	}
	l.at(level).Msg(shown(text))
}
func (l asynqLogger) Error(args ...any) { l.at(zerolog.ErrorLevel).Msg(shown(fmt.Sprint(args...))) }
func (l asynqLogger) Fatal(args ...any) { l.log.Error().Msg(shown(fmt.Sprint(args...))) }
