package agent

import (
	"context"
	"fmt"
	"time"

	"drone-otel-agent/exporters"
)

// healthcheckTimeout bounds the whole check. Who runs it, a container engine, has a timeout of its own, which is to
// find nothing to do.
const healthcheckTimeout = 3 * time.Second

// Healthcheck asks the agent that runs beside it, in the same container or on the same machine, whether it is well,
// and returns nil when it is. It listens at the addresses or, where there are none, where the configuration at path
// says. Whether Drone is well is another matter: restarting the agent would not help it.
func Healthcheck(ctx context.Context, path string, lookup func(string) (string, bool), addresses []string) error {
	if len(addresses) == 0 {
		address, err := listenAddress(path, lookup)
		if err != nil {
			return err
		}
		addresses = []string{address}
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	for _, address := range addresses {
		if err := exporters.Healthcheck(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

// listenAddress is the configuration's prometheus.listen_address. Mistakes elsewhere in the file are passed over: it
// may have got them since the agent started, and the agent has not taken them over then.
func listenAddress(path string, lookup func(string) (string, bool)) (string, error) {
	var raw []byte
	if path != "" {
		var err error
		if raw, err = readConfigFile(path); err != nil {
			return "", err
		}
	}
	t := parseTree(builtIn, builtInConfig)
	t.overlay(parseTree(path, raw))
	var f file
	t.decode(&f, lookup)
	if f.Prometheus.ListenAddress == "" {
		return "", fmt.Errorf("reading the configuration %s: prometheus.listen_address has no value that can be used", path)
	}
	return f.Prometheus.ListenAddress, nil
}
