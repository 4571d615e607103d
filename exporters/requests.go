package exporters

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace/noop"
)

// ObserveRequests returns what measures the requests of an HTTP client (http.client.request.duration) when it is
// wrapped around the client's network. template gives url.template of a request; answered is called with the context of
// each request when its answer has begun, or will not come.
func (p *Provider) ObserveRequests(
	template func(*http.Request) string, answered func(context.Context),
) func(network http.RoundTripper) http.RoundTripper {
	return func(network http.RoundTripper) http.RoundTripper {
		measured := otelhttp.NewTransport(network,
			otelhttp.WithMeterProvider(p.sdk),
			otelhttp.WithTracerProvider(noop.NewTracerProvider()),
			otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()), // no headers of its own
		)
		return &observedRequests{network: network, measured: measured, template: template, answered: answered}
	}
}

type observedRequests struct {
	network, measured http.RoundTripper
	template          func(*http.Request) string
	answered          func(context.Context)
}

// RoundTrip gives otelhttp the template of the request's URL.
func (o *observedRequests) RoundTrip(req *http.Request) (*http.Response, error) {
	defer o.answered(req.Context())
	labeler := &otelhttp.Labeler{}
	labeler.Add(semconv.URLTemplate(o.template(req)))
	return o.measured.RoundTrip(req.WithContext(otelhttp.ContextWithClientLabeler(req.Context(), labeler)))
}

// CloseIdleConnections reaches the network, past otelhttp, which does not pass it on.
func (o *observedRequests) CloseIdleConnections() {
	if network, can := o.network.(interface{ CloseIdleConnections() }); can {
		network.CloseIdleConnections()
	}
}
