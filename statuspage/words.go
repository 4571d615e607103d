package statuspage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// exact is a moment as the datetime of HTML's time element.
func exact(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// age is how long ago it was, in whole seconds at least, never below zero: clocks differ.
func age(now, then time.Time) string {
	return short(math.Round(max(0, now.Sub(then).Seconds())))
}

// short is a length of time in the two largest units that say something: 250 ms, 4 s, 3 min 12 s, 2 h 5 min, 3 d 4 h.
// None is below zero: clocks are set back.
func short(seconds float64) string {
	seconds = max(0, seconds)
	switch {
	case seconds <= 0:
		return "0 s"
	case seconds < 0.9995:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	case seconds < 9.95 && math.Abs(seconds-math.Round(seconds)) >= 0.05:
		return fmt.Sprintf("%.1f s", seconds)
	}
	whole := int64(math.Round(min(seconds, math.MaxInt32)))
	units := []struct {
		name string
		size int64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}}
	for i, unit := range units {
		n := whole / unit.size
		if n == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", n, unit.name)
		if i+1 < len(units) {
			if rest := whole % unit.size / units[i+1].size; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0 s"
}

// thousands writes a number in groups of three digits, with narrow spaces that do not break.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), "\u202f")
}
