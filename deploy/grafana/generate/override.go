package main

import (
	"maps"
	"slices"
)

// overrides are what single series and columns have of their own.
func (p *panel) overrides() []fieldOverride {
	out := []fieldOverride{}
	for _, series := range slices.Sorted(maps.Keys(p.colors)) {
		out = append(out, override(series, property{"color", fieldColor{Mode: "fixed", FixedColor: p.colors[series]}}))
	}
	for _, l := range p.labels {
		if l.link.URL != "" {
			out = append(out, override(l.title, property{"links", []dataLink{l.link}}))
		}
	}
	for _, q := range p.queries {
		if properties := q.column.properties(); len(properties) > 0 {
			out = append(out, override(q.legend, properties...))
		}
	}
	return out
}

func override(name string, properties ...property) fieldOverride {
	return fieldOverride{Matcher: matcher{ID: "byName", Options: name}, Properties: properties}
}

// properties are what a column has of its own.
func (c column) properties() []property {
	var out []property
	if c.unit != "" {
		out = append(out, property{"unit", c.unit})
	}
	if len(c.words) > 0 {
		out = append(out, property{"mappings", mappings(c.words)})
	}
	if len(c.steps) > 0 {
		out = append(out, property{"thresholds", absolute(c.steps)})
	}
	if len(c.steps)+len(c.words) > 0 {
		out = append(out, property{"custom.cellOptions", cellOptions{Type: "color-text"}})
	}
	return out
}

// organized renames and orders the columns of a table.
type organized struct {
	ExcludeByName map[string]bool   `json:"excludeByName"`
	IndexByName   map[string]int    `json:"indexByName"`
	RenameByName  map[string]string `json:"renameByName"`
}

// transformations make the columns of a table of the answers to its queries.
func (p *panel) transformations() []transformation {
	value := func(i int) string { return "Value #" + refID(i) }
	var before []transformation
	switch p.kind.rows {
	case noRows:
		return nil
	case rowOfLabels:
		before = []transformation{{"merge", struct{}{}}}
	case rowOfValue:
		before = []transformation{joinedByTime(), groupedByFirst(len(p.queries))}
		value = func(i int) string {
			if i == 0 {
				return "Value #A"
			}
			return "Value #" + refID(i) + " (" + newest + ")"
		}
	}
	columns := organized{
		ExcludeByName: map[string]bool{"Time": true}, IndexByName: map[string]int{}, RenameByName: map[string]string{},
	}
	add := func(name, title string) {
		columns.IndexByName[name] = len(columns.IndexByName)
		columns.RenameByName[name] = title
	}
	for _, l := range p.labels {
		add(l.name, l.title)
	}
	for i, q := range p.queries {
		add(value(i), q.legend)
	}
	return append(before, transformation{"organize", columns})
}

// newest is Grafana's name for the last value there is.
const newest = "lastNotNull"

func joinedByTime() transformation {
	return transformation{"joinByField", struct {
		ByField string `json:"byField"`
		Mode    string `json:"mode"`
	}{"Time", "outer"}}
}

// groupedByFirst makes one row of each value of the first query, with the last values of the others meanwhile.
func groupedByFirst(queries int) transformation {
	type grouping struct {
		Operation    string   `json:"operation"`
		Aggregations []string `json:"aggregations"`
	}
	fields := map[string]grouping{"Value #A": {"groupby", []string{}}}
	for i := 1; i < queries; i++ {
		fields["Value #"+refID(i)] = grouping{"aggregate", []string{newest}}
	}
	return transformation{"groupBy", struct {
		Fields map[string]grouping `json:"fields"`
	}{fields}}
}
