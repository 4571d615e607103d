package exporters

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Prometheus's own conventions for these.
const (
	HealthyPath = "/-/healthy"
	ReadyPath   = "/-/ready"
	reloadPath  = "/-/reload"
)

// page is what is at a path, and for which methods.
type page struct {
	http.Handler
	methods []string
	// form tells that a POST may have one as its body.
	form bool
}

// readable is a page to look at.
func readable(h http.Handler) page {
	return page{Handler: h, methods: []string{http.MethodGet, http.MethodHead}}
}

// routes is everything the server answers. Paths are compared as they are: a mux would redirect what looks
// like one of them, and read braces in the configured path as a pattern.
func routes(cfg ServerConfig, lim limits) (http.Handler, error) {
	policy, refusals := "default-src 'none'; frame-ancestors 'none'", newRefusals(cfg.Logger)
	pages := map[string]page{
		HealthyPath: readable(text(http.StatusOK, "healthy\n")),
		ReadyPath: readable(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cfg.Ready() {
				text(http.StatusOK, "ready\n").ServeHTTP(w, r)
				return
			}
			text(http.StatusServiceUnavailable, "not ready: the first poll of Drone is not over\n").ServeHTTP(w, r)
		})),
	}
	if cfg.Front == nil {
		pages[cfg.MetricsPath] = readable(protect(cfg.Guard, cfg.Metrics, refusals, bearerToken))
	} else {
		entrance, err := newEntrance(cfg, lim, refusals)
		if err != nil {
			return nil, err
		}
		policy = cfg.Front.Policy()
		pages[cfg.MetricsPath] = readable(entrance.protect(cfg.Metrics))
		pages[StatusPath] = readable(entrance.protect(entrance.document()))
		pages["/"] = page{http.HandlerFunc(entrance.page), []string{http.MethodGet, http.MethodHead, http.MethodPost}, true}
		pages[LogoutPath] = page{Handler: http.HandlerFunc(entrance.logout), methods: []string{http.MethodPost}}
	}
	if cfg.Reload != nil {
		pages[reloadPath] = page{Handler: reload(cfg, refusals), methods: []string{http.MethodPost, http.MethodPut}}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header(), policy)
		page, found := pages[r.URL.Path]
		switch {
		case !found:
			http.Error(w, "not found; the metrics are at "+cfg.MetricsPath, http.StatusNotFound)
		case !slices.Contains(page.methods, r.Method):
			w.Header().Set("Allow", strings.Join(page.methods, ", "))
			http.Error(w, "only "+strings.Join(page.methods, " and "), http.StatusMethodNotAllowed)
		case (!page.form || r.Method != http.MethodPost) && hugeBody(w, r, lim.bodyBytes):
			http.Error(w, "no request body is wanted here", http.StatusRequestEntityTooLarge)
		default:
			page.ServeHTTP(w, r)
		}
	}), nil
}

// reload answers when the reload is over. Who may read the metrics may ask for it, but not everyone.
func reload(cfg ServerConfig, refusals *refusals) http.Handler {
	guarded := protect(cfg.Guard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A client that goes away does not stop it half way.
		waiting, err := cfg.Reload(context.WithoutCancel(r.Context()))
		if err != nil {
			http.Error(w, "the configuration was not taken over; the one before stays in force:\n"+err.Error(),
				http.StatusInternalServerError)
			return
		}
		answer := "configuration reloaded\n"
		if len(waiting) > 0 {
			answer += "waits for a restart of the agent:\n  " + strings.Join(waiting, "\n  ") + "\n"
		}
		text(http.StatusOK, answer).ServeHTTP(w, r)
	}), refusals, bearerToken)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if letsAnyone(cfg.Guard) {
			http.Error(w, "anyone may read the metrics (prometheus.auth.mode is none), so nobody may reload from here; "+
				"send the process SIGHUP", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, r)
	})
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

// secureHeaders are for browsers that come across the pages. Those of the web configuration win. The referrer stays on
// the site, and does not vanish: where it does, a browser does not say either that a form is the site's own.
func secureHeaders(h http.Header, policy string) {
	for name, value := range map[string]string{
		"X-Content-Type-Options":  "nosniff",
		"X-Frame-Options":         "deny",
		"Referrer-Policy":         "same-origin",
		"Cache-Control":           "no-store",
		"Content-Security-Policy": policy,
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
}
