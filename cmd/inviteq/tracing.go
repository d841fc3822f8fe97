package main

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// tracing sends spans to where the OTEL_… variables say, as OpenTelemetry defines
// them: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT (OTLP
// over HTTP), OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, and
// so on. If neither endpoint is set, or OTEL_SDK_DISABLED or
// OTEL_TRACES_EXPORTER=none, it does nothing. The function that it returns sends
// what is left.
func (p *program) tracing(ctx context.Context) (func(), error) {
	nothing := func() {}
	switch {
	case p.env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" && p.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] == "",
		p.env["OTEL_SDK_DISABLED"] == "true", p.env["OTEL_TRACES_EXPORTER"] == "none":
		return nothing, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nothing, usagef("OTEL_EXPORTER_OTLP_ENDPOINT: the traces cannot be sent there: %v", innermost(err))
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "inviteq"), attribute.String("service.version", version)),
		resource.WithFromEnv()) // last, so that OTEL_SERVICE_NAME wins
	if err != nil {
		return nothing, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider)
	// A collector that is away is no trouble of ours.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = provider.Shutdown(ctx) // what cannot be sent now is lost
	}, nil
}
