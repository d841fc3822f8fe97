package enqueue

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceContext is the format in which a trace goes along with a task: the W3C's,
// whatever propagator the producer has set up for its own calls.
var traceContext = propagation.TraceContext{}

// startSpan begins a span of the producer. Without a tracer provider, which is the
// producer's to set up, it costs next to nothing.
func startSpan(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, func(error)) {
	ctx, span := otel.Tracer("github.com/inviteq/inviteq/enqueue").Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attributes...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "not accepted") // An error text may say more than a trace should.
		}
		span.End()
	}
}

// headers carries the trace of ctx to the worker, in the task's headers.
func headers(ctx context.Context) map[string]string {
	h := propagation.MapCarrier{}
	traceContext.Inject(ctx, h)
	if len(h) == 0 {
		return nil
	}
	return h
}
