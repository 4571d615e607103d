package exporters

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"unicode"

	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"drone-otel-agent/internal/secret"
)

// redacting takes out of what comes back from a push what went out with it: the Collector, or a proxy before it, can
// repeat a credential in its refusal. It must be the innermost interceptor.
func redacting(target string) grpc.UnaryClientInterceptor {
	proxy := secret.OfProxy(&url.URL{Scheme: "https", Host: target}) // gRPC asks for the proxy of https, TLS or not
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		clean := func(text string) string { return clip(secret.Redact(text, append(credentialsSent(ctx), proxy...)...)) }
		if response, ok := reply.(*colmetricpb.ExportMetricsServiceResponse); ok && response.GetPartialSuccess() != nil {
			response.PartialSuccess.ErrorMessage = clean(response.GetPartialSuccess().GetErrorMessage())
		}
		if err == nil {
			return nil
		}
		said := status.Convert(err).Proto() // with its details, which say whether to retry
		said.Message = clean(said.GetMessage())
		return status.ErrorProto(said)
	}
}

// credentialsSent are the values of the headers that go with a push, and what they are made of.
func credentialsSent(ctx context.Context) []secret.Text {
	headers, _ := metadata.FromOutgoingContext(ctx)
	var out []secret.Text
	add := func(text string) {
		if len(text) > 3 { // less is no credential, and is in every message
			out = append(out, secret.New(text))
		}
	}
	for _, values := range headers {
		for _, value := range values {
			add(value)
			scheme, rest, _ := strings.Cut(value, " ")
			add(rest)
			if strings.EqualFold(scheme, "Basic") {
				decoded, _ := base64.StdEncoding.DecodeString(rest)
				_, password, _ := strings.Cut(string(decoded), ":")
				add(password)
			}
		}
	}
	return out
}

// clip bounds what of a stranger's text goes into a log, and leaves out what could steer a terminal.
func clip(text string) string {
	const most = 500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
