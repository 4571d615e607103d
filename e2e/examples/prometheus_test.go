package examples

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
)

// server is Prometheus's own program, which answers as it does to people and to KEDA.
type server struct {
	*process.Agent
	url string
}

func startPrometheus(t *testing.T, config string, flags ...string) server {
	t.Helper()
	address := port.Free(t)
	flags = append([]string{"--config.file=" + config, "--storage.tsdb.path=" + t.TempDir()}, flags...)
	s := server{process.Start(t, prometheus, nil, append(flags, "--web.listen-address="+address)...), "http://" + address}
	s.AwaitLine(t, "Server is ready to receive web requests")
	return s
}

// get asks the API, and reads the data of the answer.
func (s server) get(ctx context.Context, path string, question url.Values, data any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"?"+question.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Data  any
		Error string
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s answers %s: %s: %w", path, resp.Status, body, err)
	}
	if answer.Error != "" {
		return fmt.Errorf("%s: %s", question, answer.Error)
	}
	return nil
}

// values are those of a query's answer, as of now.
func (s server) values(ctx context.Context, query string) ([]float64, error) {
	var answer struct{ Result []struct{ Value [2]any } }
	if err := s.get(ctx, "/api/v1/query", url.Values{"query": {query}}, &answer); err != nil {
		return nil, err
	}
	all := []float64{}
	for _, one := range answer.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(one.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}

// awaits waits until a query's answer has these values, in any order.
func (s server) awaits(t *testing.T, query string, want ...float64) {
	t.Helper()
	s.Await(t, fmt.Sprintf("%s to be %v", query, want), func() error {
		got, err := s.values(t.Context(), query)
		if err != nil {
			return err
		}
		slices.Sort(got)
		if !slices.Equal(got, append([]float64{}, want...)) {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// hasAlerts holds that the alerts of deploy/prometheus are loaded, and that Prometheus can ask what they ask.
func (s server) hasAlerts(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type groups struct {
		Groups []struct {
			Rules []struct{ Alert, Name, Query, Expr string }
		}
	}
	var written, loaded groups
	if err := yaml.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	if err := s.get(t.Context(), "/api/v1/rules", url.Values{"type": {"alert"}}, &loaded); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, group := range written.Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" {
				want = append(want, rule.Alert)
			}
		}
	}
	for _, group := range loaded.Groups {
		for _, rule := range group.Rules {
			got = append(got, rule.Name)
			if _, err := s.values(t.Context(), rule.Query); err != nil {
				t.Errorf("%s: %v", rule.Name, err)
			}
		}
	}
	// Prometheus gives the groups in the order of their names.
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("the alerts are %q, want %q", got, want)
	}
}

// withoutComplaint holds that Prometheus found nothing wrong. There is no Alertmanager.
func (s server) withoutComplaint(t *testing.T) {
	t.Helper()
	for _, level := range []string{"level=WARN", "level=ERROR"} {
		for _, line := range s.Lines(level) {
			t.Errorf("Prometheus complains: %s", line)
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
