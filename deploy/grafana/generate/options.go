package main

// The options of Grafana's panels, as far as they are used here.

type statOptions struct {
	ColorMode         string    `json:"colorMode"`
	GraphMode         string    `json:"graphMode"`
	JustifyMode       string    `json:"justifyMode"`
	Orientation       string    `json:"orientation"`
	TextMode          string    `json:"textMode"`
	WideLayout        bool      `json:"wideLayout"`
	ShowPercentChange bool      `json:"showPercentChange"`
	PercentColorMode  string    `json:"percentChangeColorMode"`
	ReduceOptions     reduction `json:"reduceOptions"`
}

type reduction struct {
	Values bool     `json:"values"`
	Calcs  []string `json:"calcs"`
	Fields string   `json:"fields"`
}

type legend struct {
	ShowLegend  bool     `json:"showLegend"`
	DisplayMode string   `json:"displayMode"`
	Placement   string   `json:"placement"`
	Calcs       []string `json:"calcs"`
}

type tooltip struct {
	Mode string `json:"mode"`
	Sort string `json:"sort"`
}

type graphOptions struct {
	Legend  legend  `json:"legend"`
	Tooltip tooltip `json:"tooltip"`
}

type graphStyle struct {
	DrawStyle       string     `json:"drawStyle"`
	LineWidth       int        `json:"lineWidth"`
	FillOpacity     int        `json:"fillOpacity"`
	ShowPoints      string     `json:"showPoints"`
	PointSize       int        `json:"pointSize"`
	SpanNulls       bool       `json:"spanNulls"`
	Stacking        stackStyle `json:"stacking"`
	ThresholdsStyle modeOnly   `json:"thresholdsStyle"`
}

type stackStyle struct {
	Mode  string `json:"mode"`
	Group string `json:"group"`
}

type modeOnly struct {
	Mode string `json:"mode"`
}

type timelineOptions struct {
	MergeValues bool    `json:"mergeValues"`
	ShowValue   string  `json:"showValue"`
	AlignValue  string  `json:"alignValue"`
	RowHeight   float64 `json:"rowHeight"`
	Legend      legend  `json:"legend"`
	Tooltip     tooltip `json:"tooltip"`
}

type timelineStyle struct {
	LineWidth   int `json:"lineWidth"`
	FillOpacity int `json:"fillOpacity"`
}

type barOptions struct {
	DisplayMode   string    `json:"displayMode"`
	Orientation   string    `json:"orientation"`
	ValueMode     string    `json:"valueMode"`
	NamePlacement string    `json:"namePlacement"`
	Sizing        string    `json:"sizing"`
	MinVizHeight  int       `json:"minVizHeight"`
	MinVizWidth   int       `json:"minVizWidth"`
	MaxVizHeight  int       `json:"maxVizHeight"`
	ShowUnfilled  bool      `json:"showUnfilled"`
	ReduceOptions reduction `json:"reduceOptions"`
	Legend        legend    `json:"legend"`
}

type tableOptions struct {
	FrameIndex int            `json:"frameIndex"`
	ShowHeader bool           `json:"showHeader"`
	CellHeight string         `json:"cellHeight"`
	SortBy     []sortedColumn `json:"sortBy"`
}

type sortedColumn struct {
	DisplayName string `json:"displayName"`
	Desc        bool   `json:"desc"`
}

type tableStyle struct {
	Align       string      `json:"align"`
	CellOptions cellOptions `json:"cellOptions"`
	Filterable  bool        `json:"filterable"`
	Inspect     bool        `json:"inspect"`
}

type cellOptions struct {
	Type string `json:"type"`
}

type heatmapOptions struct {
	Calculate  bool             `json:"calculate"`
	Color      heatmapColor     `json:"color"`
	YAxis      heatmapAxis      `json:"yAxis"`
	CellValues heatmapCells     `json:"cellValues"`
	CellGap    int              `json:"cellGap"`
	ShowValue  string           `json:"showValue"`
	RowsFrame  heatmapRows      `json:"rowsFrame"`
	Filter     heatmapFilter    `json:"filterValues"`
	Legend     heatmapLegend    `json:"legend"`
	Exemplars  heatmapExemplars `json:"exemplars"`
	Tooltip    heatmapTooltip   `json:"tooltip"`
}

type heatmapColor struct {
	Mode     string  `json:"mode"`
	Scheme   string  `json:"scheme"`
	Fill     string  `json:"fill"`
	Scale    string  `json:"scale"`
	Exponent float64 `json:"exponent"`
	Steps    int     `json:"steps"`
	Reverse  bool    `json:"reverse"`
}

type heatmapAxis struct {
	AxisPlacement string `json:"axisPlacement"`
	Unit          unit   `json:"unit"`
	Reverse       bool   `json:"reverse"`
}

type heatmapCells struct {
	Unit unit `json:"unit"`
}

type heatmapRows struct {
	Layout string `json:"layout"`
}

// heatmapFilter hides cells with up to that value.
type heatmapFilter struct {
	UpTo float64 `json:"le"`
}

type heatmapLegend struct {
	Show bool `json:"show"`
}

type heatmapExemplars struct {
	Color string `json:"color"`
}

type heatmapTooltip struct {
	Mode           string `json:"mode"`
	YHistogram     bool   `json:"yHistogram"`
	ShowColorScale bool   `json:"showColorScale"`
}

type heatmapStyle struct {
	ScaleDistribution scale `json:"scaleDistribution"`
}

type scale struct {
	Type string `json:"type"`
}
