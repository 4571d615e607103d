package droneapi_test

import (
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

func TestContent(t *testing.T) {
	for _, tt := range []struct {
		fault dronetest.Interceptor
		want  droneapi.ContentError
		text  string
	}{
		{dronetest.LoginPage(), droneapi.ContentError{ContentType: "text/html; charset=utf-8", HTML: true},
			"GET /version: the answer is a web page, not JSON"},
		{answer("text/html; charset", "x"), droneapi.ContentError{ContentType: "text/html; charset", HTML: true},
			"GET /version: the answer is a web page, not JSON"},
		{answer("", `{"version":"1"}`), droneapi.ContentError{},
			"GET /version: the answer has no content type; JSON belongs there"},
		{answer("text/plain", `{"version":"1"}`), droneapi.ContentError{ContentType: "text/plain"},
			`GET /version: the answer is "text/plain", not JSON`},
		{answer("application/jsonp", "{}"), droneapi.ContentError{ContentType: "application/jsonp"},
			`GET /version: the answer is "application/jsonp", not JSON`},
		{answer("a\u009b"+token+strings.Repeat("x", 300), ""),
			droneapi.ContentError{ContentType: "a [redacted]" + strings.Repeat("x", 187) + "…"}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(tt.fault)
			_, err := s.Version(t.Context())
			tt.want.Path = "/version"
			if got := failure[*droneapi.ContentError](t, err); *got != tt.want || tt.text != "" && got.Error() != tt.text {
				t.Errorf("%+v %q, want %+v %q", *got, got, tt.want, tt.text)
			}
			s.sent.wantRequests(t, 1)
		})
	}
}

func TestContentWithParameters(t *testing.T) {
	for _, kind := range []string{"application/json; charset=utf-8", "Application/JSON"} {
		s := newScene(t, dronetest.Enterprise)
		s.drone.Intercept(answer(kind, `{"version":"1.2.3", "unknown": [1]}`))
		if version, err := s.Version(t.Context()); version != "1.2.3" || err != nil {
			t.Errorf("%s: %q, %v", kind, version, err)
		}
	}
}

// Rows that are right, to put wrong words into.
const (
	goodRepo  = `{"id":1,"namespace":"a","name":"b","slug":"a/b","counter":5}`
	goodBuild = `{"id":1,"number":2,"status":"success","created":5}`
	goodStage = `{"id":1,"repo_id":2,"build_id":3,"status":"pending"}`
)

// TestUnusable are answers with the right status and content type that cannot be true.
func TestUnusable(t *testing.T) {
	repo := func(field, value string) string {
		return "[" + goodRepo + "," + strings.Replace(goodRepo, "}", `,"`+field+`":`+value+"}", 1) + "]"
	}
	build := func(field, value string) string {
		return strings.Replace(goodBuild, "}", `,"`+field+`":`+value+"}", 1)
	}
	for method, answers := range map[string]map[string]string{ // what the error says by the answer
		"Version": {
			`null`: "names no version", `{}`: "names no version", `[]`: "cannot unmarshal array",
			`{"version":2}`: "cannot unmarshal number", `"2.25.0"`: "cannot unmarshal string", `{"version":"2`: "unexpected end",
			``: "unexpected end", `{"version":"2"} {}`: "after top-level value",
		},
		"User": {
			`null`: "names no user", `{}`: "names no user", `{"id":-3,"login":"x"}`: "names no user",
			`{"id":1}`: "names no user", `{"id":1e30,"login":"x"}`: "cannot unmarshal number 1e30",
			`{"id":1,"login":"x","admin":"yes"}`: "cannot unmarshal string",
		},
		"Users": {
			`null`: "null where a list belongs", `{}`: "cannot unmarshal object", `[null]`: "element 0: id is 0",
			`[{"id":1},{"id":-3}]`: "element 1: id is -3", `[{"id":1`: "unexpected end",
		},
		"Repos": {
			`null`: "null where a list belongs", `[null]`: "element 0: id is 0",
			repo("counter", "-3"): "element 1: repository 1: its counter is -3", repo("counter", "1e30"): "number 1e30",
			repo("counter", "1099511627776"): "its counter is 1099511627776", repo("counter", `"7"`): "unmarshal string",
			repo("counter", "2147483649"): "its counter is 2147483649", repo("id", "0"): "element 1: id is 0",
			repo("counter", "1.5"): "number 1.5", repo("counter", "99999999999999999999"): "number 9999999",
			repo("slug", `""`): "repository 1 has no name", repo("namespace", `""`): "repository 1 has no name",
		},
		"Queue": {
			`null`: "null where a list belongs", `{"message":"x"}`: "cannot unmarshal object", `[{}]`: "no such ids",
			`[` + strings.Replace(goodStage, "1", "-1", 1) + `]`:     "stage -1 of build 3 of repository 2: no such ids",
			`[` + strings.Replace(goodStage, "pending", "", 1) + `]`: "stage 1 has no status",
		},
		"Stats": {
			`null`: "no usable total", `{}`: "no usable total", `{"builds":null}`: "no usable total",
			`{"builds":{"total":-3}}`: "no usable total", `{"builds":{"total":1e30}}`: "number 1e30",
			`{"builds":{"total":4611686018427387904}}`: "no usable total", `{"builds":7}`: "cannot unmarshal number",
		},
		"Builds": {
			`null`: "null where a list belongs", `{}`: "cannot unmarshal object", `[null]`: "element 0: id is 0",
			`[` + build("number", "-3") + `]`:            "build id 1: its number is -3",
			`[` + build("status", `""`) + `]`:            "has no status",
			`[` + build("number", "1099511627776") + `]`: "its number is 1099511627776",
			`[` + build("created", "-1") + `]`:           "build 2: a time before 1970",
			`[` + build("started", "253402300800") + `]`: "build 2: a time before 1970 or after 9999",
			`[` + build("finished", "1e30") + `]`:        "number 1e30",
		},
		"Build": {
			`null`: "it is about build 0", goodBuild: "it is about build 2", `[]`: "cannot unmarshal array",
			build("number", "33") + "x":                              "invalid character 'x'",
			build("number", `33,"stages":[null]`):                    "build 33: stage 0 of build 0",
			build("number", `33,"stages":[`+goodStage+`,{"id":-1}]`): "build 33: stage -1 of build 0",
			build("number", `33,"stages":{}`):                        "cannot unmarshal object",
		},
	} {
		call, path := methodNamed(t, method)
		for body, want := range answers {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, dronetest.Enterprise)
				s.drone.Intercept(answer("application/json", body))
				_, err := call(t.Context(), s.Client)
				got := failure[*droneapi.DataError](t, err)
				if got.Path != path || !strings.Contains(got.Error(), want) || got.Unwrap() == nil ||
					!strings.HasPrefix(got.Error(), "GET "+path+": unusable answer: ") {
					t.Errorf("%s of %s: %q, want %q", method, body, got, want)
				}
				s.sent.wantRequests(t, 1)
			})
		}
	}
}

func methodNamed(t *testing.T, name string) (call func(context.Context, *droneapi.Client) (any, error), path string) {
	t.Helper()
	for _, method := range methods {
		if method.name == name {
			return method.call, method.path
		}
	}
	t.Fatalf("no method %s", name)
	return nil, ""
}

// TestUsable are odd answers that are true enough.
func TestUsable(t *testing.T) {
	for method, answers := range map[string]map[string]any{
		"Version": {`{"version":"2.25.0+build \u0007"}`: "2.25.0+build  "},
		"Users":   {`[]`: []droneapi.User{}, `[ {"id":1,"new":{"x":null}} ]`: []droneapi.User{{ID: 1}}},
		"Repos": {
			`[]`: []droneapi.Repo{},
			`[` + strings.Replace(goodRepo, ":5", ":2147483648", 1) + `]`: []droneapi.Repo{
				{ID: 1, Namespace: "a", Name: "b", Slug: "a/b", Counter: 1 << 31},
			},
		},
		"Queue": {
			`[]`: []droneapi.Stage{},
			`[` + strings.Replace(goodStage, "pending", "dreaming", 1) + `]`: []droneapi.Stage{
				{ID: 1, RepoID: 2, BuildID: 3, Status: "dreaming"},
			},
		},
		"Stats": {`{"builds":{"total":0}}`: droneapi.Stats{}},
		"Builds": {
			`[` + goodBuild + `]`: []droneapi.Build{{ID: 1, Number: 2, Status: "success", Created: 5}},
			`[]`:                  []droneapi.Build{},
		},
	} {
		call, _ := methodNamed(t, method)
		for body, want := range answers {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(answer("application/json", body))
			got, err := call(t.Context(), s.Client)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s of %s: %v (-want +got):\n%s", method, body, err, diff)
			}
		}
	}
}

// TestHuge refuses what is too large at the first try, without keeping or even asking for all of it.
func TestHuge(t *testing.T) {
	declared := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1099511627776")
		_, _ = w.Write([]byte("["))
		return true
	}
	failed := func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return dronetest.Huge(1<<40)(w, r)
	}
	for name, fault := range map[string]dronetest.Interceptor{
		"streamed": dronetest.Huge(1 << 40), "declared": declared, "an error": failed,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(fault)
			before := allocated()
			_, err := s.Repos(t.Context())
			took := allocated() - before
			got := failure[*droneapi.TooLargeError](t, err)
			if want := (droneapi.TooLargeError{Path: "/api/repos", Limit: 1 << 20}); *got != want {
				t.Errorf("%s: %+v, want %+v", name, *got, want)
			}
			if want := "GET /api/repos: the answer has more than 1048576 bytes"; got.Error() != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			if took > 16<<20 || s.drone.BytesSent() > 2<<20 {
				t.Errorf("%s: it took %d bytes of memory, and %d were sent", name, took, s.drone.BytesSent())
			}
			s.sent.wantRequests(t, 1)
		})
	}
}

// allocated is how much memory was ever asked for.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func TestSizeLimitIsInclusive(t *testing.T) {
	body := `{"version":"` + strings.Repeat("1", 1000) + `"}`
	for limit, ok := range map[int]bool{len(body): true, len(body) - 1: false} {
		s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) { c.MaxAnswerBytes = int64(limit) })
		s.drone.Intercept(answer("application/json", body))
		if _, err := s.Version(t.Context()); (err == nil) != ok {
			t.Errorf("%d bytes with a limit of %d: %v", len(body), limit, err)
		}
	}
}

// TestHugeWhenUnpacked sends little that becomes much.
func TestHugeWhenUnpacked(t *testing.T) {
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("no compressed answer is accepted")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 24 {
			_, _ = packed.Write(zeros)
		}
		_ = packed.Close()
	}))
	defer web.Close()
	before := allocated()
	_, err := newClient(t, web.URL).Repos(t.Context())
	_ = failure[*droneapi.TooLargeError](t, err)
	if took := allocated() - before; took > 20<<20 || asked != 1 {
		t.Errorf("%d requests took %d bytes", asked, took)
	}
}
