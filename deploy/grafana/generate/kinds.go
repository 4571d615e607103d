package main

// kind is what panels of a kind have in common.
type kind struct {
	// plugin is Grafana's name of it.
	plugin string
	// format is how the answers are wanted: time_series, table or heatmap.
	format string
	// now asks for the present alone. A figure that took the last of the past would repeat old news when there is
	// no present one.
	now bool
	// coloring says where a series has its colour from.
	coloring string
	// fromZero lets the scale begin at 0.
	fromZero bool
	// height is in lines of the grid.
	height int
	// rows says what the rows of a table are.
	rows tableRows
	// links leave a value, or a series.
	links []dataLink

	options, custom any
}

// tableRows says what the rows of a table are.
type tableRows int

const (
	noRows tableRows = iota
	// rowOfLabels is a row for each set of labels, now.
	rowOfLabels
	// rowOfValue is a row for each value of the first query in the time that is shown.
	rowOfValue
)

// Where colours come from.
const (
	byThreshold = "thresholds"
	byPalette   = "palette-classic"
)

// figure is one number.
func figure() kind { return stat("value", "auto") }

// light is one number, or the word for it, on its colour.
func light() kind { return stat("background", "auto") }

// nameplate shows the legend instead of the number.
func nameplate() kind { return stat("none", "name") }

func stat(colorMode, textMode string) kind {
	return kind{
		plugin: "stat", format: "time_series", now: true, coloring: byThreshold, height: 4,
		options: statOptions{
			ColorMode: colorMode, GraphMode: "none", JustifyMode: "auto", Orientation: "auto", TextMode: textMode,
			PercentColorMode: "standard", ReduceOptions: lastValue(),
		},
	}
}

// lines are series over time.
func lines() kind { return graph("none", 8) }

// stacked are series over time that add up.
func stacked() kind { return graph("normal", 30) }

func graph(stacking string, fill int) kind {
	return kind{
		plugin: "timeseries", format: "time_series", coloring: byPalette, fromZero: true, height: 8,
		options: graphOptions{Legend: legendBelow(), Tooltip: tooltip{Mode: "multi", Sort: "desc"}},
		custom: graphStyle{
			DrawStyle: "line", LineWidth: 1, FillOpacity: fill, ShowPoints: "auto", PointSize: 4,
			Stacking: stackStyle{Mode: stacking, Group: "A"}, ThresholdsStyle: modeOnly{"off"},
		},
	}
}

// limited draws the thresholds into a graph.
func (k kind) limited() kind {
	style := k.custom.(graphStyle)
	style.ThresholdsStyle = modeOnly{"dashed"}
	k.custom = style
	return k
}

// dots draws a graph's values as dots.
func (k kind) dots() kind {
	style := k.custom.(graphStyle)
	style.DrawStyle, style.PointSize, style.ShowPoints = "points", 6, "always"
	k.custom = style
	return k
}

// timeline shows how states followed each other.
func timeline() kind {
	return kind{
		plugin: "state-timeline", format: "time_series", coloring: byThreshold, height: 4,
		options: timelineOptions{
			MergeValues: true, ShowValue: "never", AlignValue: "left", RowHeight: 0.8,
			Legend: legendBelow(), Tooltip: tooltip{Mode: "single", Sort: "none"},
		},
		custom: timelineStyle{FillOpacity: 80},
	}
}

// ranking are bars of now, the longest first. A bar leads to what links say.
func ranking(links ...dataLink) kind {
	return kind{
		plugin: "bargauge", format: "time_series", now: true, coloring: byThreshold, fromZero: true, height: 9,
		links: links,
		options: barOptions{
			DisplayMode: "basic", Orientation: "horizontal", ValueMode: "text", NamePlacement: "left", Sizing: "auto",
			MinVizHeight: 14, MinVizWidth: 8, MaxVizHeight: 28, ShowUnfilled: true, ReduceOptions: lastValue(),
			Legend: legend{Calcs: []string{}, DisplayMode: "list", Placement: "bottom"},
		},
	}
}

// table has a row for each set of labels, sorted by the column of that title, the greatest first.
func table(sortedBy string) kind {
	return kind{
		plugin: "table", format: "table", now: true, coloring: byThreshold, height: 9, rows: rowOfLabels,
		options: tableOptions{
			ShowHeader: true, CellHeight: "sm", SortBy: []sortedColumn{{DisplayName: sortedBy, Desc: true}},
		},
		custom: tableStyle{Align: "auto", CellOptions: cellOptions{Type: "auto"}, Filterable: true},
	}
}

// history is a table with a row for each value that the first query had.
func history(sortedBy string) kind {
	k := table(sortedBy)
	k.now, k.rows = false, rowOfValue
	return k
}

// heatmap shows a distribution over time.
func heatmap(of unit) kind {
	return kind{
		plugin: "heatmap", format: "heatmap", coloring: byThreshold, height: 9,
		options: heatmapOptions{
			Color: heatmapColor{
				Mode: "scheme", Scheme: "Oranges", Fill: "dark-orange", Scale: "exponential", Exponent: 0.5, Steps: 64,
			},
			YAxis:      heatmapAxis{Unit: of, AxisPlacement: "left"},
			CellValues: heatmapCells{Unit: number},
			CellGap:    1,
			ShowValue:  "never",
			RowsFrame:  heatmapRows{Layout: "auto"},
			Filter:     heatmapFilter{UpTo: 1e-9},
			Legend:     heatmapLegend{Show: true},
			Exemplars:  heatmapExemplars{Color: "rgba(255,0,255,0.7)"},
			Tooltip:    heatmapTooltip{Mode: "single", YHistogram: true},
		},
		custom: heatmapStyle{ScaleDistribution: scale{Type: "linear"}},
	}
}

func lastValue() reduction { return reduction{Calcs: []string{newest}} }

func legendBelow() legend {
	return legend{ShowLegend: true, DisplayMode: "list", Placement: "bottom", Calcs: []string{}}
}
