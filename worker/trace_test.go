package worker

import (
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
)

func TestTraceRunsFromProducerToClerk(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	defer otel.SetTracerProvider(noop.NewTracerProvider())

	s := newStage(t, clerksim.Config{})
	_, stop := s.start()
	client, err := enqueue.New(enqueue.Config{Redis: s.redis, Instance: s.instance})
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Invite(t.Context(), person(1))
	if err != nil {
		t.Fatal(err)
	}
	s.await(20*time.Second, r.ID)
	// The dispatcher does not wait for the invite's task: the delivery can be settled
	// before asynq has handed the task out, and a worker that stops leaves it queued.
	const task = "inviteq task invitation:create"
	for deadline := time.Now().Add(20 * time.Second); !slices.ContainsFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name == task }); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no span %q", task)
		}
	}
	stop()

	byName := map[string]tracetest.SpanStub{}
	for _, span := range spans.GetSpans() {
		byName[span.Name] = span
		for _, a := range span.Attributes {
			if a.Value.AsString() == "person1@example.com" {
				t.Errorf("span %s tells the address", span.Name)
			}
		}
	}
	produced, handled := byName["inviteq enqueue"], byName[task]
	if !produced.SpanContext.IsValid() || handled.Parent.SpanID() != produced.SpanContext.SpanID() {
		t.Fatalf("the task's span does not continue the producer's: %v, %v", produced.SpanContext, handled.Parent)
	}
	delivery := byName["inviteq delivery"]
	for _, name := range []string{"inviteq turn", "inviteq call", "inviteq settle"} {
		if byName[name].Parent.SpanID() != delivery.SpanContext.SpanID() || !delivery.SpanContext.IsValid() {
			t.Errorf("%s is not a part of the delivery", name)
		}
	}
	// A delivery can be faster than the task that it is for; then nothing is linked.
	if len(delivery.Links) > 0 && !slices.ContainsFunc(delivery.Links, func(l sdktrace.Link) bool {
		return l.SpanContext.TraceID() == produced.SpanContext.TraceID()
	}) {
		t.Error("the delivery is linked to another trace")
	}
}
