package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

// BenchmarkProcess runs the real binary beside a server with 10,000 repositories, 870,000 builds and 500 open ones,
// and reports its resident memory at the highest, and its processor time for each poll on which nothing happens.
func BenchmarkProcess(b *testing.B) {
	binary := filepath.Join(b.TempDir(), program)
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("building: %v\n%s", err, out)
	}
	for _, edition := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		b.Run("edition="+edition.String(), func(b *testing.B) {
			drone := dronetest.New(edition)
			drone.Populate(dronetest.Population{
				Repos: 10_000, Inactive: 3000, Users: 2000, Builds: 870_000, OpenBuilds: 500, OpenStages: 700, Seed: 1,
			})
			server := httptest.NewServer(drone)
			defer server.Close()
			agent := startAgent(b, binary, server.URL)
			agent.awaitPoll(b, "builds=870000")
			started, cpu, polls := time.Now(), agent.cpu(b), 0
			drone.ResetAccounting()
			for b.Loop() {
				agent.awaitPoll(b, "builds=870000")
				polls++
			}
			b.ReportMetric(float64(agent.cpu(b)-cpu)/float64(time.Millisecond)/float64(polls), "cpu-ms/poll")
			b.ReportMetric(float64(drone.RequestCount())/float64(polls), "requests/poll")
			b.ReportMetric(agent.highestRSS(b), "peak-rss-MB")
			b.ReportMetric(time.Since(started).Seconds()/float64(polls), "s/poll")
		})
	}
}

// process is the agent as the system sees it.
type process struct {
	command *exec.Cmd
	lines   *bufio.Scanner
}

func startAgent(b *testing.B, binary, server string) *process {
	b.Helper()
	config := filepath.Join(b.TempDir(), "config.yaml")
	text := fmt.Sprintf("drone: {server: %q, token: %s, max_requests_per_second: 1000}\n"+
		"poll: {interval: 1s, users_interval: 1h}\nstate: {path: %q}\nprometheus: {listen_address: \"127.0.0.1:0\"}\n",
		server, dronetest.DefaultToken, b.TempDir())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	command := exec.CommandContext(b.Context(), binary, "--config.file="+config, "--log.level=debug")
	stderr, err := command.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = command.Process.Signal(syscall.SIGTERM); _ = command.Wait() })
	p := &process{command: command, lines: bufio.NewScanner(stderr)}
	address := p.await(b, `msg="?[Ll]istening"? address=([0-9.:]+)`)
	p.scrape(b, "http://"+address+"/metrics") // so that what a scrape needs is part of the memory
	return p
}

// await reads the log until a line matches, and returns what is in its parentheses.
func (p *process) await(b *testing.B, pattern string) string {
	b.Helper()
	for re := regexp.MustCompile(pattern); p.lines.Scan(); {
		if found := re.FindStringSubmatch(p.lines.Text()); found != nil {
			return found[len(found)-1]
		}
	}
	b.Fatalf("the agent ended before its log said %s", pattern)
	return ""
}

func (p *process) awaitPoll(b *testing.B, figures string) {
	b.Helper()
	p.await(b, `msg="polled drone".* (`+figures+`) `)
}

func (p *process) scrape(b *testing.B, url string) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+dronetest.DefaultToken)
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
}

// cpu is the processor time that the process has used, from /proc.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	const ticksPerSecond = 100
	fields := strings.Fields(p.proc(b, "stat"))
	user, err := strconv.Atoi(fields[13])
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.Atoi(fields[14])
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

func (p *process) highestRSS(b *testing.B) float64 {
	b.Helper()
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(p.proc(b, "status"))
	if found == nil {
		b.Fatal("no VmHWM in /proc")
	}
	kB, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB / 1024
}

func (p *process) proc(b *testing.B, name string) string {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.command.Process.Pid, name))
	if err != nil {
		b.Skipf("this needs Linux's /proc: %v", err)
	}
	return string(raw)
}
