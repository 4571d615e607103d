package agent

import (
	_ "embed"
	"net/url"
	"os"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/internal/secret"
)

//go:embed config.yaml
var builtInConfig []byte

// Config is a configuration that was read and found without mistake. Only [LoadConfig] makes one.
type Config struct {
	drone droneapi.Config
	watch watchConfig

	staleAfter  time.Duration
	listen      string
	metricsPath string
	auth        authConfig
	otlp        exporters.OTLPConfig
	statePath   string
	metrics     metricsFile
	private     []private
}

// authConfig says who may read the metrics.
type authConfig struct {
	mode    string
	sources []secret.Source
	digests []string
}

// The ways to decide who may read the metrics: prometheus.auth.mode.
const (
	authDrone = "drone"
	authToken = "token"
	authNone  = "none"
)

// Server is the address of the Drone server.
func (c *Config) Server() string { return c.drone.Server.String() }

// file is the configuration as it is written. Its keys, defaults and meaning are in config.yaml.
type file struct {
	Drone      droneFile      `yaml:"drone"`
	Poll       pollFile       `yaml:"poll"`
	State      stateSection   `yaml:"state"`
	Metrics    metricsFile    `yaml:"metrics"`
	Prometheus prometheusFile `yaml:"prometheus"`
	OTLP       otlpFile       `yaml:"otlp"`
}

type droneFile struct {
	Server                string        `yaml:"server"`
	Token                 secret.Text   `yaml:"token"`
	TokenFile             string        `yaml:"token_file"`
	TLS                   tlsFile       `yaml:"tls"`
	Timeout               time.Duration `yaml:"timeout"`
	MaxConcurrentRequests int           `yaml:"max_concurrent_requests"`
	MaxRequestsPerSecond  float64       `yaml:"max_requests_per_second"`
}

type tlsFile struct {
	CAFile             string `yaml:"ca_file"`
	CertFile           string `yaml:"cert_file"`
	KeyFile            string `yaml:"key_file"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

type pollFile struct {
	Interval        time.Duration `yaml:"interval"`
	StaleAfter      time.Duration `yaml:"stale_after"`
	Lookback        time.Duration `yaml:"lookback"`
	UsersInterval   time.Duration `yaml:"users_interval"`
	RecountInterval time.Duration `yaml:"recount_interval"`
}

type stateSection struct {
	Path string `yaml:"path"`
}

type metricsFile struct {
	Repositories repositoriesFile `yaml:"repositories"`
	Histogram    string           `yaml:"histogram"`
	Buckets      []float64        `yaml:"buckets"`
	Events       bool             `yaml:"events"`
	Stages       bool             `yaml:"stages"`
	Steps        bool             `yaml:"steps"`
	QueueLabels  []string         `yaml:"queue_labels"`
}

type repositoriesFile struct {
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
	Limit   int      `yaml:"limit"`
}

// The kinds of histograms: metrics.histogram.
const (
	histogramExplicit    = "explicit"
	histogramExponential = "exponential"
)

type prometheusFile struct {
	ListenAddress string   `yaml:"listen_address"`
	Path          string   `yaml:"path"`
	Auth          authFile `yaml:"auth"`
}

type authFile struct {
	Mode        string      `yaml:"mode"`
	Token       secret.Text `yaml:"token"`
	TokenFile   string      `yaml:"token_file"`
	TokenSHA256 []string    `yaml:"token_sha256"`
}

type otlpFile struct {
	Endpoint    string                 `yaml:"endpoint"`
	Interval    time.Duration          `yaml:"interval"`
	Timeout     time.Duration          `yaml:"timeout"`
	Headers     map[string]secret.Text `yaml:"headers"`
	Compression string                 `yaml:"compression"`
	Temporality string                 `yaml:"temporality"`
	TLS         tlsFile                `yaml:"tls"`
}

// LoadConfig reads the configuration: the built-in config.yaml with the file at path laid over it, or alone
// where path is empty. lookup finds environment variables. An error is a [*ConfigError] with every mistake,
// or says why the file cannot be read.
func LoadConfig(path string, lookup func(string) (string, bool)) (*Config, error) {
	var raw []byte
	if path != "" {
		var err error
		if raw, err = readConfigFile(path); err != nil {
			return nil, err
		}
	}
	return parseConfig(path, raw, lookup)
}

// ParseConfig is LoadConfig for a configuration that is in memory, under the name it shall have in messages.
func ParseConfig(name, text string) (*Config, error) {
	return parseConfig(name, []byte(text), os.LookupEnv)
}

func parseConfig(name string, raw []byte, lookup func(string) (string, bool)) (*Config, error) {
	t := parseTree(builtIn, builtInConfig)
	over := parseTree(name, raw)
	preferOwn(t, over, "drone", "token", "token_file")
	t.overlay(over)
	if len(over.problems) > 0 && len(over.root.Content) == 0 {
		return nil, &ConfigError{Problems: t.problems} // nothing could be read of it; the rest would mislead
	}
	var f file
	t.decode(&f, lookup)
	c := checker{tree: t}
	out := c.check(&f)
	if len(t.problems) > 0 {
		return nil, c.failure()
	}
	out.private = privateFiles(name, over.root, &f)
	return out, nil
}

// preferOwn takes the built-in values of keys that are alternatives to each other out of the way where the
// file names one of them: the file wins over the environment.
func preferOwn(base, over *tree, section string, keys ...string) {
	at := find(over.root, section)
	if at < 0 {
		return
	}
	own := false
	for _, key := range keys {
		own = own || find(deref(over.root.Content[at+1]), key) >= 0
	}
	if !own {
		return
	}
	defaults := base.root.Content[find(base.root, section)+1]
	for _, key := range keys {
		defaults.Content[find(defaults, key)+1].Value = ""
	}
}

func (f tlsFile) drone() droneapi.TLSConfig {
	return droneapi.TLSConfig{
		CAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile, InsecureSkipVerify: f.InsecureSkipVerify,
	}
}

func (f otlpFile) exporter() exporters.OTLPConfig {
	return exporters.OTLPConfig{
		Endpoint: f.Endpoint, Interval: f.Interval, Timeout: f.Timeout, Headers: f.Headers,
		Compression: f.Compression, Temporality: f.Temporality,
		TLS: exporters.OTLPTLSConfig{
			CAFile: f.TLS.CAFile, CertFile: f.TLS.CertFile, KeyFile: f.TLS.KeyFile,
			InsecureSkipVerify: f.TLS.InsecureSkipVerify,
		},
	}
}

// maxAnswerBytes bounds one answer of Drone: 100,000 repositories are some 70 MB.
const maxAnswerBytes = 128 << 20

func (f *file) config(server *url.URL, token secret.Source, auth authConfig) *Config {
	return &Config{
		drone: droneapi.Config{
			Server: server, Token: token, TLS: f.Drone.TLS.drone(), Timeout: f.Drone.Timeout,
			MaxConcurrentRequests: f.Drone.MaxConcurrentRequests, MaxRequestsPerSecond: f.Drone.MaxRequestsPerSecond,
			MaxAnswerBytes: maxAnswerBytes,
		},
		watch: watchConfig{
			Interval: f.Poll.Interval, Lookback: f.Poll.Lookback, UsersInterval: f.Poll.UsersInterval,
			RecountInterval: f.Poll.RecountInterval, Concurrency: f.Drone.MaxConcurrentRequests,
			Selection: selectionConfig{
				Include: f.Metrics.Repositories.Include, Exclude: f.Metrics.Repositories.Exclude,
				Limit: f.Metrics.Repositories.Limit,
			},
			QueueLabels: f.Metrics.QueueLabels,
		},
		staleAfter:  f.Poll.StaleAfter,
		listen:      f.Prometheus.ListenAddress,
		metricsPath: f.Prometheus.Path,
		auth:        auth,
		otlp:        f.OTLP.exporter(),
		statePath:   f.State.Path,
		metrics:     f.Metrics,
	}
}
