package exporters

import (
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/exporter-toolkit/web"
)

// Prometheus's own conventions for these two.
const (
	healthyPath = "/-/healthy"
	readyPath   = "/-/ready"
)

// routes is everything the server answers. Paths are compared as they are: a mux would redirect what looks
// like one of them, and read braces in the configured path as a pattern.
func routes(cfg ServerConfig, bodyBytes int64) (http.Handler, error) {
	landing, err := web.NewLandingPage(web.LandingConfig{
		Name:        ServiceName,
		Description: "Metrics of a Drone server for Prometheus and OpenTelemetry",
		Version:     cfg.Version,
		Profiling:   "false",
		Links: []web.LandingLinks{
			{Address: cfg.MetricsPath, Text: "Metrics"},
			{Address: healthyPath, Text: "Healthy", Description: "the process answers"},
			{Address: readyPath, Text: "Ready", Description: "there are metrics of Drone"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the landing page: %w", err)
	}
	pages := map[string]http.Handler{
		"/":             landing,
		cfg.MetricsPath: Protect(cfg.Guard, cfg.Metrics, cfg.Logger),
		healthyPath:     text(http.StatusOK, "healthy\n"),
		readyPath: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cfg.Ready() {
				text(http.StatusOK, "ready\n").ServeHTTP(w, r)
				return
			}
			text(http.StatusServiceUnavailable, "not ready: nothing is known of Drone\n").ServeHTTP(w, r)
		}),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header())
		page, found := pages[r.URL.Path]
		switch {
		case !found:
			http.Error(w, "not found; the metrics are at "+cfg.MetricsPath, http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		case hugeBody(w, r, bodyBytes):
			http.Error(w, "no request body is wanted here", http.StatusRequestEntityTooLarge)
		default:
			page.ServeHTTP(w, r)
		}
	}), nil
}

func text(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// hugeBody tells whether the request has a body that is more than a client's oddity. One whose length is
// not announced is read to see; reading too much closes the connection.
func hugeBody(w http.ResponseWriter, r *http.Request, most int64) bool {
	body := http.MaxBytesReader(w, r.Body, most)
	if r.ContentLength > most {
		w.Header().Set("Connection", "close")
		return true
	}
	_, err := io.Copy(io.Discard, body)
	return err != nil
}

// secureHeaders are for browsers that come across the pages. Those of the web configuration win.
func secureHeaders(h http.Header) {
	for name, value := range map[string]string{
		"X-Content-Type-Options":  "nosniff",
		"X-Frame-Options":         "deny",
		"Referrer-Policy":         "no-referrer",
		"Cache-Control":           "no-store",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
}
