package statuspage

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// FuzzPage shows any text, number and time wherever one is shown. Every page comes out whole, with one script, ours,
// and reaches nowhere; the document is JSON.
func FuzzPage(f *testing.F) {
	for _, said := range []string{
		"", "org/repo", `"><script>alert(1)</script>`, "\u202e\x00\xff", `' onclick='x`, "javascript:alert(1)", "{{.}}",
	} {
		f.Add(said, "https://drone.test/"+said, int64(0), 0.0)
		f.Add(said, said, int64(-1)<<63, 3599.7)
	}
	f.Fuzz(func(t *testing.T, said, url string, n int64, seconds float64) {
		s := hostile(said, url)
		at := statusTime.Add(time.Duration(n))
		s.Agent.PollInterval, s.Drone.PollSeconds, s.Drone.Fresh = seconds, &seconds, &at
		s.Figures[0].Value, s.Figures[0].History[0] = &n, Point{Time: at, Value: &n}
		s.Queue[0].Jobs, s.Queue[0].Oldest = Jobs{Pending: n, Running: n}, &at
		s.Builds.Open[0].Number, s.Builds.Open[0].Created, s.Builds.Total = &n, &at, int(n)
		s.Failures[0].Number, s.Failures[0].Seconds, s.Failures[0].Finished = n, seconds, at
		page := pageOf(t, s)
		harmless(t, page, page.seen(t, n%2 == 0), 1, "")
		harmless(t, page, page.door(t, http.StatusUnauthorized, said), 0, "")
		if seconds-seconds != 0 {
			return // JSON has no infinity, and Go no length of time
		}
		if document := page.document(t); !json.Valid(document) {
			t.Errorf("not JSON: %s", document)
		}
	})
}
