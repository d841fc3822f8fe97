package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"
)

// TestTracesGoWhereTheVariablesSay is not parallel: OpenTelemetry reads the
// environment of the process.
func TestTracesGoWhereTheVariablesSay(t *testing.T) {
	var mu sync.Mutex
	var got strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		b, _ := io.ReadAll(body)
		mu.Lock()
		defer mu.Unlock()
		got.WriteString(r.URL.Path + " " + string(b))
	}))
	defer collector.Close()
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "signup")

	w := newWorld(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL)
	w.ok("invite", "canary@example.com", "--id", "traced")
	wants(t, got.String(), "/v1/traces", "inviteq enqueue", "traced", "signup")
	if strings.Contains(got.String(), "canary") {
		t.Error("a trace tells an address")
	}
}
