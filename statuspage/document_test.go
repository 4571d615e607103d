package statuspage_test

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"drone-otel-agent/statuspage"
)

// TestDocumentIsDocumented holds that docs/status-page.md has every field of the document.
func TestDocumentIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/status-page.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	var visit func(reflect.Type)
	visit = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice:
			visit(of.Elem())
		case reflect.Struct:
			if of == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range of.NumField() {
				name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				if !strings.Contains(string(page), "`"+name+"`") {
					t.Errorf("docs/status-page.md does not know %q of %s", name, of)
				}
				fields++
				visit(of.Field(i).Type)
			}
		default:
		}
	}
	visit(reflect.TypeFor[statuspage.Status]())
	if fields < 40 {
		t.Errorf("only %d fields were found", fields)
	}
}
