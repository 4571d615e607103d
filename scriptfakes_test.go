package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"

	"drone-otel-agent/droneapi/dronetest"
)

// fakeDrone is the Drone server of a script, with the recorded database:
//
//	drone enterprise|community [tls]   starts it and sets $DRONE_SERVER, $DRONE_ADDRESS, $DRONE_TOKEN and the tokens
//	drone away                         nobody answers at its address any more
//	drone back                         it does again
//	drone ca FILE                      writes the certificate that it has with tls
//	drone fault NAME                   answers with a fault, see faults; none takes it away
//	drone asked N                      waits until it has been asked N times more
//	drone built SLUG STATUS            a build begins and ends, with that status
type fakeDrone struct {
	*dronetest.Server
	web *httptest.Server
	tls bool
}

func (d *fakeDrone) stop() {
	if d != nil && d.web != nil {
		d.web.CloseClientConnections()
		d.web.Close()
		d.web = nil
	}
}

func (d *fakeDrone) start(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	d.web = httptest.NewUnstartedServer(d)
	_ = d.web.Listener.Close()
	d.web.Listener = listener
	d.web.Config.ErrorLog = log.New(io.Discard, "", 0)
	if d.tls {
		d.web.StartTLS()
	} else {
		d.web.Start()
	}
	return nil
}

// faults are those of a Drone server and of what stands in front of it.
func faults(url string) map[string]dronetest.Interceptor {
	return map[string]dronetest.Interceptor{
		"none":         nil,
		"unauthorized": dronetest.Status(http.StatusUnauthorized, `{"message":"Unauthorized"}`),
		"forbidden":    dronetest.Status(http.StatusForbidden, `{"message":"Forbidden"}`),
		"failing":      dronetest.Status(http.StatusInternalServerError, `{"message":"sql: database is closed"}`),
		"unavailable":  dronetest.Status(http.StatusServiceUnavailable, "<html>no upstream</html>"),
		"limited":      dronetest.Status(http.StatusTooManyRequests, "", dronetest.Header("Retry-After", "1")),
		"login":        dronetest.LoginPage(),
		"moved": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://drone.example.com"+r.URL.Path, http.StatusMovedPermanently)
			return true
		},
		"sso":       dronetest.Redirect("https://sso.example.com/login?back=" + url),
		"truncated": dronetest.Truncated(`[{"id":1},`),
		"cut":       dronetest.Cut(""),
		"huge": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "200000000") // announced is enough to be refused; streaming it takes seconds
			_, _ = io.WriteString(w, "[")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"slow":   dronetest.Slow(),
		"broken": dronetest.Status(http.StatusOK, `[{"id":1]`),
		"negative": dronetest.Status(http.StatusOK,
			`[{"id":1,"uid":"1","namespace":"a","name":"b","slug":"a/b","counter":-5}]`, dronetest.On("/api/repos")),
	}
}

func cmdDrone(ts *testscript.TestScript, args []string) error {
	s := shared(ts)
	if len(args) == 0 {
		return errors.New("usage: drone enterprise|community|away|back|ca|fault|asked|built")
	}
	switch args[0] {
	case "enterprise", "community":
		return s.startDrone(ts, args[0] == "community", slices.Contains(args, "tls"))
	case "away":
		s.drone.stop()
		return nil
	case "back":
		return s.drone.start(ts.Getenv("DRONE_ADDRESS"))
	case "ca":
		block := &pem.Block{Type: "CERTIFICATE", Bytes: s.drone.web.Certificate().Raw}
		return os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(block), 0o600)
	case "fault":
		fault, known := faults(s.drone.web.URL)[args[1]]
		if !known {
			return fmt.Errorf("no fault %s", args[1])
		}
		s.drone.Intercept(fault)
		return nil
	case "asked":
		var n int
		if _, err := fmt.Sscan(args[1], &n); err != nil {
			return err
		}
		n += s.drone.RequestCount()
		if !until(func() bool { return s.drone.RequestCount() >= n }) {
			return fmt.Errorf("not asked so often within %s", patience)
		}
		return nil
	case "built":
		s.drone.FinishBuild(args[1], s.drone.CreateBuild(args[1], dronetest.BuildSpec{}).Number, args[2])
		return nil
	}
	return fmt.Errorf("drone %s: unknown", args[0])
}

func (s *script) startDrone(ts *testscript.TestScript, community, tls bool) error {
	s.drone.stop()
	edition := dronetest.Enterprise
	if community {
		edition = dronetest.Community
	}
	s.drone = &fakeDrone{Server: dronetest.New(edition), tls: tls}
	if err := s.drone.LoadRecorded(); err != nil {
		return err
	}
	if err := s.drone.start("127.0.0.1:0"); err != nil {
		return err
	}
	ts.Setenv("DRONE_SERVER", s.drone.web.URL)
	ts.Setenv("DRONE_ADDRESS", s.drone.web.Listener.Addr().String())
	ts.Setenv("DRONE_TOKEN", dronetest.DefaultToken)
	return cmdTokens(ts, nil)
}

// fakeCollector is the OpenTelemetry Collector of a script:
//
//	collector start      starts it and sets $COLLECTOR, its URL
//	collector seven      waits for a push with Drone's seven figures and prints the newest ones
type fakeCollector struct {
	colmetricpb.UnimplementedMetricsServiceServer
	server *grpc.Server

	mu     sync.Mutex
	newest map[string]float64
}

// Export keeps the numbers of the gauges.
func (c *fakeCollector) Export(_ context.Context, in *colmetricpb.ExportMetricsServiceRequest,
) (*colmetricpb.ExportMetricsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range in.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				c.keep(metric)
			}
		}
	}
	return &colmetricpb.ExportMetricsServiceResponse{}, nil
}

func (c *fakeCollector) keep(metric *metricpb.Metric) {
	for _, point := range metric.GetGauge().GetDataPoints() {
		if len(point.GetAttributes()) == 0 {
			c.newest[metric.GetName()] = point.GetAsDouble() + float64(point.GetAsInt())
		}
	}
}

func (c *fakeCollector) figures() map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.newest)
}

func (c *fakeCollector) stop() {
	if c != nil {
		c.server.Stop()
	}
}

func cmdCollector(ts *testscript.TestScript, args []string) error {
	s := shared(ts)
	switch strings.Join(args, " ") {
	case "start":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.collector = &fakeCollector{server: grpc.NewServer(), newest: map[string]float64{}}
		colmetricpb.RegisterMetricsServiceServer(s.collector.server, s.collector)
		go func() { _ = s.collector.server.Serve(listener) }()
		ts.Setenv("COLLECTOR", "http://"+listener.Addr().String())
		return nil
	case "seven":
		return s.collector.printSeven(ts.Stdout())
	}
	return errors.New("usage: collector start|seven")
}

func (c *fakeCollector) printSeven(out io.Writer) error {
	names := []string{
		"drone.build.count", "drone.pending.builds", "drone.pending.jobs", "drone.repo.count", "drone.running.builds",
		"drone.running.jobs", "drone.user.count",
	}
	var got map[string]float64
	met := until(func() bool {
		got = c.figures()
		return !slices.ContainsFunc(names, func(name string) bool { _, found := got[name]; return !found })
	})
	if !met {
		return fmt.Errorf("no push with the seven figures within %s, only %v", patience, got)
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(out, "%s %g\n", name, got[name]); err != nil {
			return err
		}
	}
	return nil
}
