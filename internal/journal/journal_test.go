package journal_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"drone-otel-agent/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryLineHasItsLevel(t *testing.T) {
	var out strings.Builder
	n, err := fmt.Fprint(journal.Writer(&out, slog.LevelError), "config.yaml:1: one\nconfig.yaml:2: two\n")
	if n != 38 || err != nil {
		t.Errorf("%d bytes written, %v; want 38", n, err)
	}
	if diff := cmp.Diff("<3>config.yaml:1: one\n<3>config.yaml:2: two\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogger(t *testing.T) {
	var out strings.Builder
	log := journal.Logger(&out, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})
	})
	log.Debug("a")
	log.With("k", 1).Info("b")
	log.WithGroup("g").Warn("c", "k", 2)
	log.Error("two\nlines")
	log.Log(t.Context(), slog.LevelError+4, "worse")
	log.Log(t.Context(), slog.LevelDebug-4, "trace")
	want := "<7>level=DEBUG msg=a\n<6>level=INFO msg=b k=1\n<4>level=WARN msg=c g.k=2\n" +
		"<3>level=ERROR msg=\"two\\nlines\"\n<3>level=ERROR+4 msg=worse\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
