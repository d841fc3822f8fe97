package worker

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/webhook"
)

// tracer returns the worker's. It does nothing unless the program has set up a
// tracer provider.
func tracer() trace.Tracer { return otel.Tracer("github.com/inviteq/inviteq/worker") }

// traced continues the trace of the producer, which comes in the task's headers.
func traced(next asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(task.Headers()))
		ctx, span := tracer().Start(ctx, "inviteq task "+kindOf(task), trace.WithSpanKind(trace.SpanKindConsumer))
		defer span.End()
		err := next.ProcessTask(ctx, task)
		switch {
		case err == nil:
		case isFailure(err):
			span.SetStatus(codes.Error, "failed")
		default:
			span.SetAttributes(attribute.Bool("inviteq.snoozed", true))
		}
		return err
	})
}

// kindOf is a name of a task's type for spans: what others call their tasks may be
// anything.
func kindOf(task *asynq.Task) string {
	switch t := task.Type(); t {
	case tasks.TypeCreate, tasks.TypeBulkCreate, tasks.TypeRevoke, tasks.TypeReconcile, webhook.TaskType:
		return t
	default:
		return "of another kind"
	}
}

// traceDelivery begins the span of a delivery, as of the moment at which its turn
// was asked for. A delivery serves many traces, or none: it links to those of the
// tasks that are waiting for it in this process.
func traceDelivery(ctx context.Context, t ledger.Turn, asked time.Time, waiting *outcomes) (context.Context, trace.Span) {
	var links []trace.Link
	for _, r := range t.Batch {
		if sc := waiting.awaitedBy(r.Invite.ID); sc.IsValid() {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	ctx, span := tracer().Start(ctx, "inviteq delivery", trace.WithTimestamp(asked), trace.WithLinks(links...), trace.WithAttributes(
		attribute.String("inviteq.turn", t.ID), attribute.String("inviteq.endpoint", string(t.Endpoint)),
		attribute.Int("inviteq.invites", len(t.Batch)), attribute.Bool("inviteq.probe", t.Probe),
	))
	_, turn := tracer().Start(ctx, "inviteq turn", trace.WithTimestamp(asked))
	turn.End()
	return ctx, span
}

// endCall notes what Clerk has answered.
func endCall(span trace.Span, e *clerk.Error) {
	if e != nil {
		span.SetStatus(codes.Error, e.Kind.String())
		span.SetAttributes(attribute.Int("http.response.status_code", e.Status), attribute.String("clerk.trace_id", e.TraceID))
	}
	span.End()
}
