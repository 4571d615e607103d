// Package dashboards holds the Grafana dashboards of deploy/grafana against the real Prometheus: every query of every
// panel parses, and answers after a day of builds that the real agent has watched, scraped and pushed, with explicit
// and with native histograms.
package dashboards
