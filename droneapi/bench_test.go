package droneapi_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// BenchmarkRepos reads a list of 10,000 repositories, as every poll of the community edition does: one in
// which nothing has changed, and one in which one counter has. The bytes are those of the answer.
func BenchmarkRepos(b *testing.B) {
	drone := dronetest.New(dronetest.Community)
	drone.Populate(dronetest.Population{Repos: 10_000, Inactive: 500})
	first := reposAnswer(b, drone)
	drone.CreateBuild("org19/service-09999", dronetest.BuildSpec{})
	second := reposAnswer(b, drone)
	for name, answers := range map[string][][]byte{"unchanged": {first}, "changed": {first, second}} {
		b.Run(name, func(b *testing.B) {
			client := newClient(b, address, func(c *droneapi.Config) {
				c.MaxRequestsPerSecond, c.MaxAnswerBytes = 1e9, 64<<20
				sent := 0
				c.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
					sent++
					return &http.Response{
						StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
						Body: io.NopCloser(bytes.NewReader(answers[sent%len(answers)])), ContentLength: -1,
					}, nil
				})
			})
			b.SetBytes(int64(len(first)))
			b.ReportAllocs()
			for b.Loop() {
				if all, err := client.Repos(b.Context()); len(all) != 10_000 {
					b.Fatalf("%d repositories, %v", len(all), err)
				}
			}
		})
	}
}

func reposAnswer(b *testing.B, drone *dronetest.Server) []byte {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address+"/api/repos?page=1&per_page=100000", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := drone.RoundTripper().RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return body
}
