package prometheus

import "github.com/prometheus/prometheus/promql/parser"

// Parser reads queries as Prometheus does that has no experimental features switched on.
func Parser() parser.Parser { return parser.NewParser(parser.Options{}) }

// Parse reads a query.
func Parse(query string) (parser.Expr, error) { return Parser().ParseExpr(query) }
