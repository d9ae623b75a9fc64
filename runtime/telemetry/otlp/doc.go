// Package otlp sends spans to an OpenTelemetry collector: OTLP over HTTP, in
// protobuf, as the environment says (OTEL_EXPORTER_OTLP_*). It is the client
// that the exporter of OpenTelemetry (otlptrace) asks for. The client that
// OpenTelemetry has itself brings gRPC along, though it speaks HTTP, and gRPC
// brings pages in html/template, which keep all methods of all types in the
// program: together a quarter of a runner. It must not know what the spans
// are about.
//
// The protocol: https://opentelemetry.io/docs/specs/otlp/#otlphttp. The
// variables: https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
package otlp
