package main

// The grid that Grafana lays panels on.
const (
	columns   = 24
	rowHeight = 1
)

// dashboard is the board in Grafana's model.
func (b *board) dashboard() dashboard {
	return dashboard{
		UID: b.uid, Title: b.title, Description: b.description, Tags: []string{tag},
		SchemaVersion: 39, Editable: true, GraphTooltip: 1, Timezone: "browser",
		Refresh: b.refresh, Time: timeRange{From: b.from, To: "now"}, Timepicker: struct{}{},
		Annotations: list[struct{}]{List: []struct{}{}}, Templating: list[variable]{List: b.variables},
		Links: []dashboardLink{others()}, Panels: laid(b.rows),
	}
}

// laid gives each panel its number and its place: rows below each other, and the panels of a row from the left, a
// new line where one has no room any more.
func laid(rows []row) []gridPanel {
	var out []gridPanel
	y := 0
	add := func(p gridPanel, pos gridPos) {
		p.ID, p.GridPos = len(out)+1, pos
		out = append(out, p)
	}
	for _, r := range rows {
		add(headline(r.title), gridPos{Y: y, W: columns, H: rowHeight})
		y += rowHeight
		x, line := 0, 0
		for i := range r.panels {
			p := &r.panels[i]
			if x+p.width > columns {
				x, y, line = 0, y+line, 0
			}
			add(p.gridPanel(), gridPos{X: x, Y: y, W: p.width, H: p.lines()})
			x, line = x+p.width, max(line, p.lines())
		}
		y += line
	}
	return out
}

// lines is the panel's height.
func (p *panel) lines() int {
	if p.height != 0 {
		return p.height
	}
	return p.kind.height
}

func headline(title string) gridPanel {
	return gridPanel{Type: "row", Title: title, Collapsed: new(bool), Panels: &[]gridPanel{}}
}
