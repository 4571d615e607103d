package exporters

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"drone-otel-agent/internal/secret"
)

// TestCollectorRepeatsTheCredential has a Collector say back what it was sent, in refusals and in complaints about
// metrics that it took, and looks for it in the log, the status and the error of a check.
func TestCollectorRepeatsTheCredential(t *testing.T) {
	const password = "the-Collectors-passw0rd"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+password))
	for _, tc := range []struct{ name, headers, env, echo string }{
		{"header", "Bearer " + theToken, "", "no user for Bearer " + theToken},
		{"token alone", "Bearer " + theToken, "", "token=" + theToken + "!"},
		{"variable", "", "authorization=Bearer%20" + theToken, "no user for Bearer " + theToken},
		{"encoded password", basic, "", "no user for " + basic},
		{"password", basic, "", "me:" + password + " is not known"},
		{"long", "Bearer " + theToken, "", strings.Repeat("x", 490) + theToken + strings.Repeat("\x1b[2J", 1000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", tc.env)
			c := newCollector(t)
			logs, logger := newLogbook(t)
			cfg := OTLPConfig{Endpoint: "http://" + c.addr, Interval: 5 * time.Millisecond, Timeout: 10 * time.Second}
			if tc.headers != "" {
				cfg.Headers = map[string]secret.Text{"Authorization": secret.New(tc.headers)}
			}
			clean := func(where, text string) {
				t.Helper()
				for _, word := range []string{theToken, password, basic, theToken[:8], password[:8], "\x1b"} {
					if strings.Contains(text, word) {
						t.Errorf("%q is in %s: %s", word, where, text)
					}
				}
				if len(text) > 4000 {
					t.Errorf("%s has %d bytes", where, len(text))
				}
			}
			c.respond(func() (*colmetricpb.ExportMetricsServiceResponse, error) {
				return nil, status.Error(codes.Unauthenticated, tc.echo)
			})
			err := CheckOTLP(soon(t), cfg)
			if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "otlp.headers") {
				t.Errorf("the check says %v", err)
			}
			clean("the check's error", err.Error())
			p := newTestProvider(t, ProviderConfig{OTLP: &cfg, Logger: logger})
			eventually(t, "a push that is refused", func() bool { return p.PushStatus().State == PushAway })
			clean("the push's status", p.PushStatus().Err.Error())
			c.respond(func() (*colmetricpb.ExportMetricsServiceResponse, error) {
				return &colmetricpb.ExportMetricsServiceResponse{PartialSuccess: &colmetricpb.ExportMetricsPartialSuccess{
					RejectedDataPoints: 1, ErrorMessage: tc.echo,
				}}, nil
			})
			eventually(t, "a push that is taken in part", func() bool { return p.PushStatus().Rejected != "" })
			clean("the complaint", p.PushStatus().Rejected)
			clean("the log", logs.String())
			if !strings.Contains(logs.String(), "[redacted]") && tc.name != "long" {
				t.Errorf("the log does not quote the Collector: %s", logs.String())
			}
		})
	}
}
