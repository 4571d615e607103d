package exporters

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// instanceNamespace is the UUID that the semantic conventions give for making a service.instance.id of
// version 5 (semconv, registry of service attributes).
const instanceNamespace = "4d63009a-8d0f-11ee-aad7-4c796ed8e320"

// newResource describes the agent as the semantic conventions want it. What OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES say wins, attribute by attribute.
func newResource(ctx context.Context, cfg ProviderConfig) (*resource.Resource, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("asking for the host's name: %w", err)
	}
	attrs := resource.WithAttributes(
		semconv.ServiceName(ServiceName),
		semconv.ServiceInstanceID(instanceID(host, cfg.Identity)),
		semconv.HostName(host),
	)
	opts := []resource.Option{resource.WithSchemaURL(semconv.SchemaURL), resource.WithTelemetrySDK(), attrs}
	if cfg.Version != "" {
		opts = append(opts, resource.WithAttributes(semconv.ServiceVersion(cfg.Version)))
	}
	// Detectors that come later win.
	res, err := resource.New(ctx, append(opts, resource.WithFromEnv())...)
	switch {
	case errors.Is(err, resource.ErrPartialResource):
		// A stray comma in a variable that is set for a whole cluster is no reason not to start.
		cfg.Logger.WarnContext(ctx, "OTEL_RESOURCE_ATTRIBUTES is not wholly of the form key=value,key=value",
			"err", err)
	case err != nil:
		return nil, fmt.Errorf("describing the agent as an OpenTelemetry resource: %w", err)
	}
	return res, nil
}

// instanceID is the same after every restart, on the same host with the same identity, so that series go
// on; and differs between two agents on one host that watch two servers.
func instanceID(host, identity string) string {
	return uuid.NewSHA1(uuid.MustParse(instanceNamespace), []byte(host+"\x00"+identity)).String()
}
