package instruments

import (
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allowedKeys are all attributes there are. Each has few values, or as many as there are repositories with series
// of their own. A build's number, commit, branch, message, author or link is none of them and must not become one.
var allowedKeys = []string{
	"arch",
	"cicd.pipeline.name",
	"cicd.pipeline.result",
	"cicd.pipeline.run.state",
	"cicd.system.component",
	"cicd.worker.state",
	"drone.branch.class",
	"drone.build.event",
	"drone.build.status",
	"drone.stage.label.gpu",
	"drone.stage.label.pool",
	"drone.stage.status",
	"edition",
	"error.type",
	"os",
	"stage",
	"state",
	"step",
	"type",
	"version",
}

func TestCatalog(t *testing.T) {
	names := map[string]bool{}
	for _, in := range Catalog() {
		if names[in.Name] {
			t.Errorf("%s is declared twice", in.Name)
		}
		names[in.Name] = true
		if in.Description == "" || in.Absent == "" || in.Example == "" {
			t.Errorf("%s lacks a description, an example or when it is absent", in.Name)
		}
		sources := 0
		for _, has := range []bool{in.observe != nil, in.finished != nil, in.failed != nil} {
			if has {
				sources++
			}
		}
		if sources != 1 {
			t.Errorf("%s has %d sources", in.Name, sources)
		}
		if (in.Setting != "") != (in.enabled != nil) {
			t.Errorf("%s has a setting or a condition, and not both", in.Name)
		}
		if in.Unit == "1" {
			t.Errorf("%s has the unit 1, which makes Prometheus add _ratio", in.Name)
		}
	}
}

// TestAttributes holds what is recorded where everything is switched on against what the catalogue declares.
func TestAttributes(t *testing.T) {
	r := newRig(t, everything)
	r.snapshot = fullSnapshot()
	b := staged()
	b.ErrorType = "step"
	r.Finished(b)
	r.RequestFailed("timeout")

	seen := map[string]map[string]bool{}
	all := map[string]bool{}
	for _, p := range r.points(t) {
		if seen[p.name] == nil {
			seen[p.name] = map[string]bool{}
		}
		for _, kv := range p.attributes.ToSlice() {
			seen[p.name][string(kv.Key)], all[string(kv.Key)] = true, true
			if value := kv.Value.String(); value == "42" || value == "4711" {
				t.Errorf("%v tells the number or the id of a build", p)
			}
		}
	}
	if diff := cmp.Diff(allowedKeys, sorted(all)); diff != "" {
		t.Errorf("the attributes (-allowed +recorded):\n%s", diff)
	}
	for _, in := range Catalog() {
		want := map[string]bool{}
		for _, key := range in.Attributes {
			want[string(key)] = true
		}
		for _, optional := range in.Optional {
			if optional.Setting != settingQueueLabels {
				want[string(optional.Key)] = true
				continue
			}
			for _, label := range []string{"gpu", "pool"} {
				want[strings.Replace(string(optional.Key), "NAME", label, 1)] = true
			}
		}
		if diff := cmp.Diff(sorted(want), sorted(seen[in.Name])); diff != "" {
			t.Errorf("the attributes of %s (-declared +recorded):\n%s", in.Name, diff)
		}
		delete(seen, in.Name)
	}
	if len(seen) > 0 {
		t.Errorf("not in the catalogue: %v", seen)
	}
}

func sorted(set map[string]bool) []string {
	var out []string
	for key := range set {
		out = append(out, key)
	}
	sort.Strings(out)
	return out
}

// TestNamedOnce: a name stands in one place of the code, or in the conventions and in none.
func TestNamedOnce(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	var code strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	for _, in := range Catalog() {
		want := 1
		if strings.HasPrefix(in.Name, "cicd.") {
			want = 0
		}
		if got := strings.Count(code.String(), `"`+in.Name+`"`); got != want {
			t.Errorf("%s is written %d times, want %d", in.Name, got, want)
		}
	}
}
