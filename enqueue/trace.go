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

var asProducer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)}

// tracer returns that of the provider which the producer has set up last. A tracer
// that is kept stays with the first provider for good (OpenTelemetry's delegation
// happens once), which is wrong for whoever sets up one provider per test.
func tracer() trace.Tracer { return otel.Tracer("github.com/inviteq/inviteq/enqueue") }

// startSpan begins a span of the producer. Without a tracer provider, which is the
// producer's to set up, it costs next to nothing: attributes is not called then.
func startSpan(ctx context.Context, name string, attributes func() []attribute.KeyValue) (context.Context, func(error)) {
	ctx, span := tracer().Start(ctx, name, asProducer...)
	if !span.IsRecording() {
		return ctx, func(error) { span.End() }
	}
	span.SetAttributes(attributes()...)
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
