package dronetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/droneapi/testdata"
)

// answer is what a test sees of an HTTP answer.
type answer struct {
	Status      int
	ContentType string
	Body        string
}

// get asks the server over its own round tripper.
func get(t *testing.T, s *dronetest.Server, path, token string) answer {
	t.Helper()
	return ask(t, s.RoundTripper(), "http://drone.example.com"+path, token)
}

func ask(t *testing.T, rt http.RoundTripper, url, token string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: read body: %v", url, err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(body)}
}

func loaded(t *testing.T, edition dronetest.Edition) *dronetest.Server {
	t.Helper()
	s := dronetest.New(edition)
	if err := s.LoadRecorded(); err != nil {
		t.Fatal(err)
	}
	return s
}

// recordedTotals is the table in the README of the recordings, counted in the real database.
var recordedTotals = dronetest.Totals{
	Builds: 212, Users: 7, Repos: 13, PendingBuilds: 5, RunningBuilds: 2, PendingJobs: 6, RunningJobs: 2,
}

func TestRecordedTotals(t *testing.T) {
	for _, e := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		if diff := cmp.Diff(recordedTotals, loaded(t, e).Totals()); diff != "" {
			t.Errorf("%v: totals (-want +got):\n%s", e, diff)
		}
	}
}

// TestRecordedAnswers asks what was asked of the real server and holds the answers against its own,
// byte by byte, over real HTTP and over the round tripper.
func TestRecordedAnswers(t *testing.T) {
	var index map[string]struct {
		Authorization string `json:"authorization"`
		ContentType   string `json:"content_type"`
		Request       string `json:"request"`
		Status        int    `json:"status"`
	}
	data, err := testdata.FS.ReadFile("index.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	if len(index) != 62 {
		t.Errorf("index.json names %d answers, want 62", len(index))
	}
	tokens := map[string]string{
		"admin machine token": dronetest.DefaultToken, "none": "",
		"token of a plain user": "token-of-user0002", "unknown token": "0123456789abcdef",
	}
	for _, edition := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		s := loaded(t, edition)
		web := httptest.NewServer(s)
		defer web.Close()
		for file, want := range index {
			if !strings.HasPrefix(file, edition.String()+"/") {
				continue
			}
			token, ok := tokens[want.Authorization]
			if !ok {
				t.Errorf("%s: no token for %q", file, want.Authorization)
			}
			body, err := testdata.FS.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path := strings.TrimPrefix(want.Request, "GET ")
			if file == "enterprise/metrics.txt" {
				body = droneLines(body)
			}
			wantAnswer := answer{want.Status, want.ContentType, string(body)}
			if diff := cmp.Diff(wantAnswer, get(t, s, path, token)); diff != "" {
				t.Errorf("%s: GET %s, round tripper (-recorded +got):\n%s", file, path, diff)
			}
			if diff := cmp.Diff(wantAnswer, ask(t, http.DefaultTransport, web.URL+path, token)); diff != "" {
				t.Errorf("%s: GET %s, HTTP (-recorded +got):\n%s", file, path, diff)
			}
		}
	}
}

// droneLines leaves out what a real server tells of Go and of its process.
func droneLines(metrics []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "drone_") {
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}

// TestShapes holds builds that the fake made itself against recorded ones: the same keys in the same
// order, the same types, the same keys left out.
func TestShapes(t *testing.T) {
	const slug = "org1/made"
	s := loaded(t, dronetest.Enterprise)
	s.AddRepo(dronetest.Repo{Slug: slug, Active: true})
	pending := s.CreateBuild(slug, dronetest.BuildSpec{
		Stages: []dronetest.StageSpec{{Arch: "arm64", Variant: "v8"}},
	})
	running := s.CreateBuild(slug, dronetest.BuildSpec{})
	s.StartStage(slug, running.Number, 1, "runner-1")
	labels := map[string]string{"pool": "big"}
	success := s.CreateBuild(slug, dronetest.BuildSpec{Stages: []dronetest.StageSpec{
		{}, {DependsOn: []string{"default"}}, {DependsOn: []string{"default"}, Labels: labels},
	}})
	s.FinishBuild(slug, success.Number, dronetest.StatusSuccess)

	for _, tt := range []struct{ made, recorded string }{
		{path(slug, pending.Number), "/api/repos/org0/service-00009/builds/24"},
		{"/api/repos/org1/made", "/api/repos/org0/service-00009"},
		{path(slug, success.Number), "/api/repos/org0/service-00012/builds/22"},
		{"/api/repos/org1/made/builds?per_page=1", "/api/repos/org0/service-00011/builds?per_page=1"},
		// Builds that the recordings do not tell, made up from a row, and from a row of a list.
		{"/api/repos/org0/service-00001/builds/7", "/api/repos/org0/service-00011/builds/32"},
	} {
		made := get(t, s, tt.made, dronetest.DefaultToken)
		recorded := get(t, s, tt.recorded, dronetest.DefaultToken)
		if diff := cmp.Diff(shape(t, recorded.Body), shape(t, made.Body)); diff != "" {
			t.Errorf("%s has another shape than %s (-recorded +made):\n%s", tt.made, tt.recorded, diff)
		}
	}
	// The first step still runs here: it has a start and no end. The recorded one is over.
	got := shape(t, get(t, s, path(slug, running.Number), dronetest.DefaultToken).Body)
	want := shape(t, get(t, s, "/api/repos/org0/service-00007/builds/26", dronetest.DefaultToken).Body)
	want = slices.DeleteFunc(want, func(line string) bool {
		return line == ".stages.[].steps.[].stopped number"
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the running build has another shape (-recorded +made):\n%s", diff)
	}
}

// shape lists the keys of a JSON text in their order, with the types of their values; of an array it
// tells the first element.
func shape(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	dec := json.NewDecoder(strings.NewReader(text))
	var walk func(prefix string, tell bool)
	walk = func(prefix string, tell bool) {
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		kind := ""
		switch v := tok.(type) {
		case json.Delim:
			kind = v.String()
			for n := 0; dec.More(); n++ {
				key := "[]"
				if v == '{' {
					k, err := dec.Token()
					if err != nil {
						t.Fatal(err)
					}
					key = k.(string)
				}
				walk(prefix+"."+key, tell && (v == '{' || n == 0))
			}
			if _, err := dec.Token(); err != nil {
				t.Fatal(err)
			}
		case string:
			kind = "string"
		case float64:
			kind = "number"
		case bool:
			kind = "bool"
		case nil:
			kind = "null"
		}
		if tell {
			out = append(out, prefix+" "+kind)
		}
	}
	walk("", true)
	return out
}
