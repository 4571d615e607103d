package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFilesAreUpToDate(t *testing.T) {
	var want []string
	for _, b := range boards() {
		made, err := encode(b.dashboard())
		if err != nil {
			t.Fatal(err)
		}
		there, err := os.ReadFile(filepath.Join("..", b.file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(made), string(there)); diff != "" {
			t.Errorf("%s is not what go generate ./deploy/grafana/generate makes of it (-made +there):\n%s", b.file, diff)
		}
		want = append(want, filepath.Join("..", b.file))
	}
	there, err := filepath.Glob("../*.json")
	slices.Sort(want)
	if diff := cmp.Diff(want, there); err != nil || diff != "" {
		t.Errorf("the dashboards are not the files there are (%v, -made +there):\n%s", err, diff)
	}
}

// onDashboards runs a test on each dashboard as Grafana would read it.
func onDashboards(t *testing.T, test func(t *testing.T, d dashboard)) {
	t.Helper()
	for _, b := range boards() {
		t.Run(b.uid, func(t *testing.T) {
			text, err := encode(b.dashboard())
			if err != nil {
				t.Fatal(err)
			}
			var read dashboard
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatalf("reading what was written: %v", err)
			}
			test(t, read)
		})
	}
}

func isRow(p gridPanel) bool { return p.Type == "row" }

// Whoever looks at a panel is told what it is, in which unit, and what a line is.
func TestPanelsSayWhatTheyShow(t *testing.T) {
	known := knownMetrics(t)
	onDashboards(t, func(t *testing.T, d dashboard) {
		for _, p := range d.Panels {
			if p.Title == "" {
				t.Errorf("panel %d has no title", p.ID)
			}
			if isRow(p) {
				continue
			}
			defaults := p.FieldConfig.Defaults
			for what, missing := range map[string]bool{
				"description":             len(p.Description) < 20 || !strings.HasSuffix(p.Description, "."),
				"unit":                    defaults.Unit == "",
				"threshold":               len(defaults.Thresholds.Steps) == 0 || defaults.Thresholds.Steps[0].Value != nil,
				"query":                   len(p.Targets) == 0,
				"choice of a data source": p.Datasource == nil || *p.Datasource != fromPrometheus(),
				"word for no data": defaults.NoValue == "" &&
					slices.Contains([]string{"stat", "bargauge", "table"}, p.Type),
			} {
				if missing {
					t.Errorf("%q has no %s", p.Title, what)
				}
			}
			for i, query := range p.Targets {
				if query.RefID != refID(i) || query.Datasource != fromPrometheus() || query.LegendFormat == "" {
					t.Errorf("%q: the query %+v lacks its letter, data source or legend", p.Title, query)
				}
				legend := query.LegendFormat
				if p.Type == "table" {
					legend = "" // it is the title of a column
				}
				if err := known.check(query.Expr, legend); err != nil {
					t.Errorf("%q: %s: %v", p.Title, query.Expr, err)
				}
			}
		}
	})
}

// Thresholds rise, as Grafana wants them.
func TestThresholdsRise(t *testing.T) {
	onDashboards(t, func(t *testing.T, d dashboard) {
		for _, p := range d.Panels {
			if isRow(p) {
				continue
			}
			steps := p.FieldConfig.Defaults.Thresholds.Steps[1:]
			if !slices.IsSortedFunc(steps, func(a, b step) int { return int(1000 * (*a.Value - *b.Value)) }) {
				t.Errorf("%q: the thresholds do not rise", p.Title)
			}
		}
	})
}

// An override is for a series or a column that there is.
func TestOverridesMeetASeries(t *testing.T) {
	values := []string{
		// of labels, which are legends too
		"success", "failure", "error", "killed", "declined", "skipped",
		"active", "inactive", "folded", "unreachable", "pending", "executing",
		"Repository", "Stage", "OS", "Arch", // columns
	}
	onDashboards(t, func(t *testing.T, d dashboard) {
		for _, p := range d.Panels {
			if isRow(p) {
				continue
			}
			names := slices.Clone(values)
			for _, query := range p.Targets {
				names = append(names, query.LegendFormat)
			}
			for _, o := range p.FieldConfig.Overrides {
				if !slices.Contains(names, o.Matcher.Options) {
					t.Errorf("%q: nothing is named %s", p.Title, o.Matcher.Options)
				}
			}
		}
	})
}

func TestPanelsDoNotOverlap(t *testing.T) {
	onDashboards(t, func(t *testing.T, d dashboard) {
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%q has the number %d, as another one", p.Title, p.ID)
			}
			ids[p.ID] = true
			pos := p.GridPos
			if pos.W < 1 || pos.H < 1 || pos.X < 0 || pos.X+pos.W > columns {
				t.Errorf("%q is at %+v, outside the grid", p.Title, pos)
			}
			for x := pos.X; x < pos.X+pos.W; x++ {
				for y := pos.Y; y < pos.Y+pos.H; y++ {
					if other, is := taken[[2]int{x, y}]; is {
						t.Fatalf("%q lies on %q", p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	})
}

// Panels fill a line from the left and go on below the highest one of it.
func TestLayout(t *testing.T) {
	of := func(width, height int) panel { return panel{kind: lines(), width: width, height: height} }
	got := laid([]row{
		{"first", []panel{of(12, 4), of(12, 6), of(8, 3), of(8, 0), of(8, 3)}},
		{"second", []panel{of(20, 2), of(5, 2)}},
	})
	want := []gridPos{
		{0, 0, 24, 1}, {0, 1, 12, 4}, {12, 1, 12, 6}, {0, 7, 8, 3}, {8, 7, 8, 8}, {16, 7, 8, 3},
		{0, 15, 24, 1}, {0, 16, 20, 2}, {0, 18, 5, 2},
	}
	var places []gridPos
	for i, p := range got {
		places = append(places, p.GridPos)
		if p.ID != i+1 {
			t.Errorf("panel %d has the number %d", i+1, p.ID)
		}
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

// Dashboards are found by their tag, lead to each other and keep the choices.
func TestDashboardsLeadToEachOther(t *testing.T) {
	uids := map[string]bool{}
	for _, b := range boards() {
		if uids[b.uid] || len(b.uid) > 40 {
			t.Errorf("%s has the uid %q, of another one or too long", b.file, b.uid)
		}
		uids[b.uid] = true
	}
	onDashboards(t, func(t *testing.T, d dashboard) {
		if !slices.Contains(d.Tags, d.Links[0].Tags[0]) || !d.Links[0].IncludeVars || !d.Links[0].KeepTime {
			t.Errorf("the links are %+v, want all of tag %s with choices and time", d.Links, tag)
		}
		if d.Title == "" || d.Description == "" || d.Refresh == "" || d.Time.From == "" || d.SchemaVersion != 39 {
			t.Errorf("title, description, refresh, time or schema is missing: %q, %q, %q, %v, %d",
				d.Title, d.Description, d.Refresh, d.Time, d.SchemaVersion)
		}
		var names []string
		for _, v := range d.Templating.List {
			if v.Label == "" {
				t.Errorf("the variable %s has no label", v.Name)
			}
			names = append(names, v.Name)
		}
		if diff := cmp.Diff([]string{"datasource", "job", "instance"}, names[:3]); diff != "" {
			t.Errorf("the first variables (-want +got):\n%s", diff)
		}
		for _, p := range d.Panels {
			for _, query := range p.Targets {
				checkVariables(t, query.Expr, names)
			}
			for _, link := range linksOf(p) {
				uid, _, _ := strings.Cut(strings.TrimPrefix(link.URL, "/d/"), "?")
				if !uids[uid] {
					t.Errorf("%q leads to %s, which is none of the dashboards", p.Title, link.URL)
				}
			}
		}
	})
}

// linksOf are a panel's links from values.
func linksOf(p gridPanel) []dataLink {
	if isRow(p) {
		return nil
	}
	links := p.FieldConfig.Defaults.Links
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if of, are := property.Value.([]any); are && property.ID == "links" {
				for _, link := range of {
					links = append(links, dataLink{URL: link.(map[string]any)["url"].(string)})
				}
			}
		}
	}
	return links
}

// checkVariables holds that a query uses no variable that its dashboard does not have.
func checkVariables(t *testing.T, expr string, names []string) {
	t.Helper()
	for rest := expr; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found {
			return
		}
		name := after[:strings.IndexFunc(after+" ", func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })]
		if !strings.HasPrefix(name, "__") && !slices.Contains(names, name) {
			t.Errorf("%s uses $%s, which the dashboard does not have", expr, name)
		}
		rest = after
	}
}
