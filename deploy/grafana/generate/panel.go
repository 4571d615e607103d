package main

// board declares a dashboard.
type board struct {
	file, uid, title, description string
	// from is how far back it looks when it is opened, refresh how often it asks anew.
	from, refresh string
	variables     []variable
	rows          []row
}

// row is a headline with the panels below it, which fill lines of 24 columns from the left.
type row struct {
	title  string
	panels []panel
}

// panel declares a panel.
type panel struct {
	title string
	// description says what is shown, when nothing is, and what to do about what is shown.
	description string
	kind        kind
	// width is in columns, of which there are 24; height in lines, that of the kind where it is 0.
	width, height int
	unit          unit
	// steps are the colours of values, from the lowest on.
	steps []step
	// words stand for values.
	words []word
	// missing is what stands there when there is no value.
	missing string
	// colors are those of single series, by legend.
	colors map[string]color
	// limit is the upper end of the scale; 0 leaves that to the values.
	limit float64
	// labels are a table's first columns; its other columns are its queries.
	labels  []label
	queries []query
}

// query is a series or several; a column in a table.
type query struct {
	// legend is the name of the series, with {{label}} for the value of a label; the column's title in a table.
	legend string
	// expr is PromQL with the short forms of [expand].
	expr string
	// column is how a table shows it.
	column column
}

// column is how a table shows a query that is not shown as the panel says.
type column struct {
	unit  unit
	steps []step
	words []word
}

// label is a column of a table that holds a label's values.
type label struct {
	name, title string
	// link leads to a dashboard about the value.
	link dataLink
}

// word stands for a value.
type word struct {
	value string
	text  string
	color color
}

type color string

// The colours, by Grafana's names: they fit the light and the dark theme.
const (
	green  color = "green"
	yellow color = "yellow"
	orange color = "orange"
	red    color = "red"
	blue   color = "blue"
	purple color = "purple"
	gray   color = "#8e8e8e"
	plain  color = "text"
)

type unit string

// The units, by Grafana's names.
const (
	seconds    unit = "s"
	number     unit = "short"
	ratio      unit = "percentunit"
	inBytes    unit = "bytes"
	perSecond  unit = "reqps"
	eachSecond unit = "suffix: /s"
	perHour    unit = "suffix: /h"
	ago        unit = "dateTimeFromNow"
	date       unit = "dateTimeAsIso"
	noUnit     unit = "none"
)

// from makes a step: the colour of values from a limit on.
func from(value float64, c color) step { return step{Color: c, Value: &value} }

// colored makes steps of the colour of the lowest values and what comes above.
func colored(lowest color, above ...step) []step {
	return append([]step{{Color: lowest}}, above...)
}

// gridPanel is the panel in Grafana's model, without its place.
func (p *panel) gridPanel() gridPanel {
	config := fieldConfig{Defaults: p.defaults(), Overrides: p.overrides()}
	return gridPanel{
		Type: p.kind.plugin, Title: p.title, Description: p.description, Datasource: new(fromPrometheus()),
		Targets: p.targets(), FieldConfig: &config, Options: p.kind.options, Transformations: p.transformations(),
	}
}

func (p *panel) defaults() fieldDefaults {
	out := fieldDefaults{
		Unit: p.unit, NoValue: p.missing, Color: fieldColor{Mode: p.kind.coloring}, Mappings: mappings(p.words),
		Thresholds: absolute(p.steps), Custom: p.kind.custom, Links: p.kind.links,
	}
	if p.kind.fromZero {
		out.Min = new(float64(0))
	}
	if p.limit != 0 {
		out.Max = &p.limit
	}
	return out
}

// absolute are thresholds; without steps there is one colour for everything.
func absolute(steps []step) thresholds {
	if len(steps) == 0 {
		steps = colored(plain)
	}
	return thresholds{Mode: "absolute", Steps: steps}
}

func mappings(words []word) []valueMapping {
	if len(words) == 0 {
		return []valueMapping{}
	}
	options := map[string]mappedText{}
	for i, w := range words {
		options[w.value] = mappedText{Text: w.text, Color: w.color, Index: i}
	}
	return []valueMapping{{Type: "value", Options: options}}
}

func (p *panel) targets() []target {
	var out []target
	for i, q := range p.queries {
		out = append(out, target{
			RefID: refID(i), Datasource: fromPrometheus(), EditorMode: "code", Expr: expand(q.expr), LegendFormat: q.legend,
			Format: p.kind.format, Instant: p.kind.now, Range: !p.kind.now,
		})
	}
	return out
}

// refID is the name of a query in its panel: A, B, C.
func refID(i int) string { return string(rune('A' + i)) }
