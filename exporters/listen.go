package exporters

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/internal/clienttls"
)

// Listen opens every socket, or none: an error says which address could not be had and why.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.listeners) > 0 {
		return errors.New("listening: the server listens already, or has been shut down")
	}
	var err error
	if s.cfg.SystemdSocket {
		s.listeners, err = systemdListeners()
		return err
	}
	for _, address := range s.cfg.Addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			for _, opened := range s.listeners {
				_ = opened.Close()
			}
			s.listeners = nil
			return fmt.Errorf("listening on %s: %w", address, withoutOp(err))
		}
		s.listeners = append(s.listeners, listener)
	}
	return nil
}

// withoutOp takes off net's own "listen tcp ADDRESS", which has been said.
func withoutOp(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func systemdListeners() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("taking the sockets of systemd: %w", err)
	}
	var listeners []net.Listener
	for _, listener := range all {
		if listener != nil { // nil is a socket of a kind that nobody can listen on
			listeners = append(listeners, listener)
		}
	}
	if len(listeners) == 0 {
		return nil, errors.New("taking the sockets of systemd: there are none; " +
			"is the agent started by its .socket unit?")
	}
	return listeners, nil
}

// Addrs are the addresses that are listened on, with the ports that the system chose.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]net.Addr, len(s.listeners))
	for i, listener := range s.listeners {
		addrs[i] = listener.Addr()
	}
	return addrs
}

// ValidateMetricsPath tells what is wrong with a path for the metrics, or nil.
func ValidateMetricsPath(path string) error {
	const allowed = "-._~/"
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
			!strings.ContainsRune(allowed, r)
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("path of the metrics %q: it must begin with /", path)
	case slices.Contains([]string{"/", HealthyPath, ReadyPath, reloadPath, LogoutPath, StatusPath}, path):
		return fmt.Errorf("path of the metrics %q: the agent's own pages are there", path)
	case strings.ContainsFunc(path, bad) || strings.Contains(path, "//") || strings.HasSuffix(path, "/"):
		return fmt.Errorf("path of the metrics %q: letters, digits, - . _ ~ and single / between them only", path)
	}
	return nil
}

// ValidateWebConfig reads exporter-toolkit's web configuration file with its certificates and tells what is
// wrong. An empty name is no file and fine. guarded is whether a guard wants a bearer token: basic auth
// cannot be had besides, as there is one Authorization header.
func ValidateWebConfig(file string, guarded bool) error {
	if file == "" {
		return nil
	}
	if err := web.Validate(file); err != nil {
		return fmt.Errorf("web configuration %s: %w", file, err)
	}
	raw, err := os.ReadFile(file) //nolint:gosec // the path is the operator's own configuration
	if err != nil {
		return fmt.Errorf("web configuration: %w", err)
	}
	var config struct {
		TLS struct {
			ClientCAs string `yaml:"client_ca_file"`
		} `yaml:"tls_server_config"`
		Users map[string]any `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("web configuration %s: %w", file, err)
	}
	if config.TLS.ClientCAs != "" {
		// exporter-toolkit takes a file without certificates for an authority that has signed nothing.
		clients := clienttls.Files{CA: commonconfig.JoinDir(filepath.Dir(file), config.TLS.ClientCAs)}
		if err := clients.Validate(); err != nil {
			return fmt.Errorf("web configuration %s: client_ca_file: %w", file, err)
		}
	}
	if guarded && len(config.Users) > 0 {
		return fmt.Errorf("web configuration %s: basic_auth_users: a request has one Authorization header, and "+
			"the bearer token is in it: remove the users, or let anyone in (prometheus.auth.mode: none) "+
			"and leave it to basic auth", file)
	}
	return nil
}
