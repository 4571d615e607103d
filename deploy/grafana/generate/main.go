// Command generate writes the Grafana dashboards: generate FOLDER.
//
// A dashboard is declared in a file of its own (overview.go, repository.go, agent.go): rows of panels, and a panel
// is one entry of a table. What a kind of panel looks like is in kinds.go, how panels lie beside each other in
// layout.go, and the parts of Grafana's JSON that are used in model.go.
//
// The JSON is Grafana's classic model in the version of Grafana 10.3 (schemaVersion 39), which that version and all
// later ones load.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

//go:generate go run . ..

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: generate FOLDER")
	}
	for _, declared := range boards() {
		if err := write(os.Args[1], declared); err != nil {
			log.Fatalf("writing the dashboard %s: %v", declared.title, err)
		}
	}
}

// boards are all dashboards.
func boards() []board {
	return []board{overview(), repository(), agent()}
}

func write(folder string, declared board) error {
	text, err := encode(declared.dashboard())
	if err != nil {
		return err
	}
	file := filepath.Join(folder, declared.file)
	return os.WriteFile(file, text, 0o644) //nolint:gosec // a document that everybody may read
}

// encode writes JSON as Grafana exports it: indented, and with <, > and & as they are.
func encode(of dashboard) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(of); err != nil {
		return nil, fmt.Errorf("encoding as JSON: %w", err)
	}
	return out.Bytes(), nil
}
