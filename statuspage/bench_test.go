package statuspage

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// busyStatus is that of a large server: 200 builds are open, and the hour is full of points.
func busyStatus() Status {
	s := fullStatus()
	s.Builds = &Builds{Total: 1200}
	for i := range int64(200) {
		slug := fmt.Sprintf("org%d/service-%05d", i%10, i)
		b := Build{
			Repository: slug, Number: &i, URL: fmt.Sprintf("%s/%s/%d", s.Drone.Server, slug, i), State: Waiting,
			Created: ago(time.Duration(i) * time.Second), Jobs: Jobs{Pending: 1},
			Platforms: []string{"linux/amd64"}, Machines: []string{},
		}
		if i%2 == 0 {
			b.State, b.Machines = Running, []string{"runner-1"}
		}
		s.Builds.Open = append(s.Builds.Open, b)
	}
	for i := range s.Figures {
		s.Figures[i].History = nil
		for p := range int64(180) {
			at := statusTime.Add(time.Duration(p-180) * 20 * time.Second)
			s.Figures[i].History = append(s.Figures[i].History, Point{Time: at, Value: to(p * p % 97)})
		}
	}
	for len(s.Failures) < 20 {
		s.Failures = append(s.Failures, s.Failures[0])
	}
	return s
}

// BenchmarkPage puts the page together, and BenchmarkDocument the document, of a large server.
func BenchmarkPage(b *testing.B) {
	page := pageOf(b, busyStatus())
	measure(b, func(w http.ResponseWriter, r *http.Request) { page.Page(w, r, true) })
}

func BenchmarkDocument(b *testing.B) {
	measure(b, pageOf(b, busyStatus()).Document)
}

func measure(b *testing.B, serve func(w http.ResponseWriter, r *http.Request)) {
	b.Helper()
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		got := httptest.NewRecorder()
		serve(got, httptest.NewRequest(http.MethodGet, "/", nil))
		size = got.Body.Len()
	}
	b.ReportMetric(float64(size), "answer-bytes")
}
