// Package deploy holds what is in deploy/prometheus against what it depends on and promtool does not know: the
// catalogue of metrics, the runbook, and the real agent, scraped with the configuration there and pushed.
package deploy
