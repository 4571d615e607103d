package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDemo starts the demo as make demo does, but for the port, and follows its own instructions.
func TestDemo(t *testing.T) {
	for _, edition := range []string{"enterprise", "community"} {
		t.Run(edition, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			read, write := io.Pipe()
			done := make(chan error, 1)
			go func() {
				done <- run(ctx, []string{
					"-edition", edition, "-listen", "127.0.0.1:0", "-interval", "1s", "-browser=false",
				}, write)
				_ = write.Close()
			}()
			var curl []string
			polled := regexp.MustCompile(`^\d\d:\d\d:\d\d builds=[1-9]\d* users=\d+ repos=\d+ ` +
				`pending_builds=\d+ pending_jobs=\d+ running_builds=\d+ running_jobs=\d+$`)
			lines, polls := bufio.NewScanner(read), 0
			for lines.Scan() {
				if found := regexp.MustCompile(`curl -H '(\w+): (.*)' (http.*)$`).FindStringSubmatch(lines.Text()); found != nil {
					curl = found[1:]
				}
				if polled.MatchString(lines.Text()) {
					if polls++; polls == 2 {
						break
					}
				}
			}
			if curl == nil || polls < 2 {
				t.Fatalf("curl line %q, %d lines of polls", curl, polls)
			}
			go func() { _, _ = io.Copy(io.Discard, read) }()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, curl[2], nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(curl[0], curl[1])
			resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "\ndrone_build_count ") {
				t.Errorf("the curl line of the demo gives %d, %v:\n%s", resp.StatusCode, err, body)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the demo ended with %v", err)
			}
		})
	}
}
