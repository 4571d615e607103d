package statuspage

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// points are a figure at minutes before statusTime; -1 is not known.
func points(minuteValue ...int64) []Point {
	var out []Point
	for i := 0; i < len(minuteValue); i += 2 {
		p := Point{Time: statusTime.Add(-time.Duration(minuteValue[i]) * time.Minute)}
		if v := minuteValue[i+1]; v != -1 {
			p.Value = &v
		}
		out = append(out, p)
	}
	return out
}

func TestDrawLine(t *testing.T) {
	const huge = int64(math.MaxInt64)
	cases := []struct {
		name    string
		history []Point
		want    line
	}{
		{"nothing", nil, line{Said: "nothing is known of the last hour", Range: "–"}},
		{"never known", points(30, -1, 15, -1), line{Said: "nothing is known of the last hour", Range: "–"}},
		{"one", points(30, 7), line{
			Path: "M120.0 18.0h.1", Said: "in the last hour always 7", Range: "7",
		}},
		{"always the same", points(60, 0, 30, 0, 0, 0), line{
			Path: "M0.0 18.0L120.0 18.0L240.0 18.0", Said: "in the last hour always 0", Range: "0",
		}},
		{"up to the edge and down", points(60, 1000, 30, 3000, 0, 1000), line{
			Path: "M0.0 34.0L120.0 2.0L240.0 34.0", Said: "in the last hour between 1\u202f000 and 3\u202f000",
			Range: "1\u202f000 to 3\u202f000",
		}},
		{"gaps", points(60, -1, 45, 1, 30, 2, 20, -1, 15, 1, 10, -1, 5, -1, 0, 2), line{
			Path: "M60.0 34.0L120.0 2.0M180.0 34.0h.1M240.0 2.0h.1", Said: "in the last hour between 1 and 2",
			Range: "1 to 2",
		}},
		{"out of the hour", points(6000, 1, 90, 2, -90, 3), line{
			Path: "M0.0 34.0L0.0 18.0L240.0 2.0", Said: "in the last hour between 1 and 3", Range: "1 to 3",
		}},
		{"as far apart as can be", points(60, -huge, 30, 0, 0, huge), line{
			Path:  "M0.0 34.0L120.0 18.0L240.0 2.0",
			Said:  "in the last hour between " + thousands(-huge) + " and " + thousands(huge),
			Range: thousands(-huge) + " to " + thousands(huge),
		}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, drawLine(statusTime, c.history)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
