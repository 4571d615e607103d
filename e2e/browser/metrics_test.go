//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
	"drone-otel-agent/statuspage"
)

// fetch asks the agent for a page with Drone's token, as a program does.
func (s *scene) fetch(path string, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), await.Deadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.site+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+dronetest.DefaultToken)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return read(response.Body)
}

// metric is the sum of a metric's series.
func (s *scene) metric(name string) (sum float64, err error) {
	err = s.fetch("/metrics", func(text io.Reader) error {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(text)
		if err != nil {
			return err
		}
		if families[name] == nil {
			return fmt.Errorf("there is no %s", name)
		}
		for _, m := range families[name].GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		return nil
	})
	return sum, err
}

// document is the status as programs get it.
func (s *scene) document() (out statuspage.Status, err error) {
	err = s.fetch("/api/v1/status", func(text io.Reader) error { return json.NewDecoder(text).Decode(&out) })
	return out, err
}
