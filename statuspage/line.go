package statuspage

import (
	"fmt"
	"strings"
	"time"
)

// The box of a figure's line, in the units of its drawing, and the time it spans.
const (
	lineWidth  = 240.0
	lineHeight = 36.0
	lineMargin = 2.0
	lineSpan   = time.Hour
)

// line is a figure in the last hour, as the path of an SVG.
type line struct {
	// Path is empty where there is nothing to draw.
	Path string
	// Said is the line in words.
	Said string
	// Range is the least and the greatest value, or the one there is.
	Range string
}

// drawLine draws the points of the last hour. It is interrupted where the figure was not known.
func drawLine(now time.Time, history []Point) line {
	low, high, some := extremes(history)
	if !some {
		return line{Said: "nothing is known of the last hour", Range: "–"}
	}
	var path strings.Builder
	drawn := false
	for i, p := range history {
		if p.Value == nil {
			drawn = false
			continue
		}
		x := lineWidth * (1 - float64(now.Sub(p.Time))/float64(lineSpan))
		y := lineHeight / 2
		if high > low {
			y = lineMargin + (lineHeight-2*lineMargin)*(float64(high)-float64(*p.Value))/(float64(high)-float64(low))
		}
		x = min(lineWidth, max(0, x))
		switch {
		case drawn:
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		case i+1 == len(history) || history[i+1].Value == nil:
			fmt.Fprintf(&path, "M%.1f %.1fh.1", x, y) // a point alone is a dot
		default:
			fmt.Fprintf(&path, "M%.1f %.1f", x, y)
		}
		drawn = true
	}
	least, most := thousands(low), thousands(high)
	if low == high {
		return line{Path: path.String(), Said: "in the last hour always " + least, Range: least}
	}
	return line{
		Path: path.String(), Said: "in the last hour between " + least + " and " + most,
		Range: least + " to " + most,
	}
}

func extremes(history []Point) (low, high int64, some bool) {
	for _, p := range history {
		if p.Value == nil {
			continue
		}
		if !some {
			low, high, some = *p.Value, *p.Value, true
		}
		low, high = min(low, *p.Value), max(high, *p.Value)
	}
	return low, high, some
}
