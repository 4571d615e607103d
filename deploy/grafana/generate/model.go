package main

// The parts of Grafana's classic dashboard model that are used here.

type dashboard struct {
	UID           string          `json:"uid"`
	Title         string          `json:"title"`
	Description   string          `json:"description"`
	Tags          []string        `json:"tags"`
	SchemaVersion int             `json:"schemaVersion"`
	Editable      bool            `json:"editable"`
	GraphTooltip  int             `json:"graphTooltip"`
	Timezone      string          `json:"timezone"`
	Refresh       string          `json:"refresh"`
	Time          timeRange       `json:"time"`
	Timepicker    struct{}        `json:"timepicker"`
	Annotations   list[struct{}]  `json:"annotations"`
	Templating    list[variable]  `json:"templating"`
	Links         []dashboardLink `json:"links"`
	Panels        []gridPanel     `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type list[T any] struct {
	List []T `json:"list"`
}

type dashboardLink struct {
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

type variable struct {
	Name        string           `json:"name"`
	Label       string           `json:"label"`
	Description string           `json:"description"`
	Type        string           `json:"type"`
	Query       any              `json:"query"`
	Definition  string           `json:"definition,omitempty"`
	Datasource  *datasource      `json:"datasource,omitempty"`
	Current     *variableOption  `json:"current,omitempty"`
	Options     []variableOption `json:"options"`
	IncludeAll  bool             `json:"includeAll"`
	Multi       bool             `json:"multi"`
	AllValue    string           `json:"allValue,omitempty"`
	Refresh     int              `json:"refresh,omitempty"`
	Sort        int              `json:"sort,omitempty"`
	Regex       string           `json:"regex"`
	Hide        int              `json:"hide"`
	SkipURLSync bool             `json:"skipUrlSync"`
}

// variableQuery is the query of a variable whose values Prometheus gives.
type variableQuery struct {
	Query string `json:"query"`
	RefID string `json:"refId"`
}

type variableOption struct {
	Text     string `json:"text"`
	Value    string `json:"value"`
	Selected bool   `json:"selected,omitempty"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// gridPanel is a panel, or a row where it has no data source.
type gridPanel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	GridPos         gridPos          `json:"gridPos"`
	Collapsed       *bool            `json:"collapsed,omitempty"`
	Panels          *[]gridPanel     `json:"panels,omitempty"`
	Datasource      *datasource      `json:"datasource,omitempty"`
	Targets         []target         `json:"targets,omitempty"`
	FieldConfig     *fieldConfig     `json:"fieldConfig,omitempty"`
	Options         any              `json:"options,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	EditorMode   string     `json:"editorMode"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Format       string     `json:"format"`
	Instant      bool       `json:"instant"`
	Range        bool       `json:"range"`
}

type fieldConfig struct {
	Defaults  fieldDefaults   `json:"defaults"`
	Overrides []fieldOverride `json:"overrides"`
}

type fieldDefaults struct {
	Unit       unit           `json:"unit,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      fieldColor     `json:"color"`
	Mappings   []valueMapping `json:"mappings"`
	Thresholds thresholds     `json:"thresholds"`
	Links      []dataLink     `json:"links,omitempty"`
	Custom     any            `json:"custom,omitempty"`
}

type fieldColor struct {
	Mode       string `json:"mode"`
	FixedColor color  `json:"fixedColor,omitempty"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

// step is a colour from a value on; the first one has no value.
type step struct {
	Color color    `json:"color"`
	Value *float64 `json:"value"`
}

// valueMapping says values in words: Options is by value, written as text.
type valueMapping struct {
	Type    string                `json:"type"`
	Options map[string]mappedText `json:"options"`
}

type mappedText struct {
	Text  string `json:"text"`
	Color color  `json:"color"`
	Index int    `json:"index"`
}

type dataLink struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	TargetBlank bool   `json:"targetBlank"`
}

type fieldOverride struct {
	Matcher    matcher    `json:"matcher"`
	Properties []property `json:"properties"`
}

type matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type transformation struct {
	ID      string `json:"id"`
	Options any    `json:"options"`
}
