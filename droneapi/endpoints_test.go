package droneapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/droneapi/testdata"
	"drone-otel-agent/internal/secret"
)

var editions = []dronetest.Edition{dronetest.Enterprise, dronetest.Community}

// TestRecorded holds what each method returns against the recorded answer, field by field.
func TestRecorded(t *testing.T) {
	files := map[string]string{
		"User": "user.json", "UserOf": "user.json", "Users": "users.json", "Repos": "repos.json",
		"Queue": "queue.json", "Builds": "builds_page2.json", "Build": "build_killed.json",
	}
	for _, edition := range editions {
		for _, method := range methods {
			t.Run(fmt.Sprintf("%v/%s", edition, method.name), func(t *testing.T) {
				s := newScene(t, edition)
				got, err := method.call(t.Context(), s.Client)
				if method.enterprise && edition == dronetest.Community {
					refusal := failure[*droneapi.HTTPError](t, err)
					want := droneapi.HTTPError{Path: method.path, Status: http.StatusNotImplemented, Message: "Not Implemented"}
					if diff := cmp.Diff(want, *refusal); diff != "" || !refusal.Missing() {
						t.Errorf("missing %v, (-want +got):\n%s", refusal.Missing(), diff)
					}
					s.sent.wantRequests(t, 1)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				switch method.name {
				case "Version":
					if got != "2.25.0" {
						t.Errorf("version %q, want 2.25.0", got)
					}
				case "Stats":
					if want := (droneapi.Stats{Builds: 212}); got != want {
						t.Errorf("stats %+v, want %+v", got, want)
					}
				default:
					wantRecorded(t, edition, files[method.name], got)
				}
			})
		}
	}
}

// wantRecorded fails where a field of got is not in the recorded answer, or is something else there.
func wantRecorded(t *testing.T, edition dronetest.Edition, file string, got any) {
	t.Helper()
	recorded, err := testdata.FS.ReadFile(edition.String() + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var want, have any
	for text, to := range map[string]*any{string(recorded): &want, string(again): &have} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(reduced(want, have), have); diff != "" {
		t.Errorf("%s (-recorded +got):\n%s", file, diff)
	}
}

// reduced leaves of the recorded value what the client knows of. An absent list is a null one, and any other
// absent value is the one that Drone leaves out for it.
func reduced(recorded, known any) any {
	switch known := known.(type) {
	case map[string]any:
		in, _ := recorded.(map[string]any)
		out := make(map[string]any)
		for key, value := range known {
			switch at, ok := in[key]; {
			case ok || value == nil:
				out[key] = reduced(at, value)
			case value == "" || value == false || value == float64(0):
				out[key] = value
			}
		}
		return out
	case []any:
		in, _ := recorded.([]any)
		out := make([]any, len(in))
		for i := range in {
			out[i] = in[i]
			if i < len(known) {
				out[i] = reduced(in[i], known[i])
			}
		}
		return out
	}
	return recorded
}

// TestRecordedValues spells some of the values out: the test above would not see a field that is left out.
func TestRecordedValues(t *testing.T) {
	for _, edition := range editions {
		s := newScene(t, edition)
		user, err := s.User(t.Context())
		if want := (droneapi.User{ID: 1, Login: "prometheus", Machine: true, Admin: true, Active: true}); user != want {
			t.Errorf("user %+v, %v, want %+v", user, err, want)
		}
		plain, err := s.UserOf(t.Context(), secret.New("token-of-user0002"))
		if plain.Login != "user0002" || plain.Admin || plain.Machine {
			t.Errorf("another user is %+v, %v", plain, err)
		}
		users, err := s.Users(t.Context())
		if len(users) != 7 || !slices.ContainsFunc(users, func(u droneapi.User) bool { return !u.Active }) {
			t.Errorf("%d users, %v, want 7, inactive ones too", len(users), err)
		}
		repos, err := s.Repos(t.Context())
		active := slices.DeleteFunc(slices.Clone(repos), func(r droneapi.Repo) bool { return !r.Active })
		if len(repos) != 14 || len(active) != 13 {
			t.Errorf("%d repositories, %d active, %v, want 14 and 13", len(repos), len(active), err)
		}
		repo := repo11
		repo.Active, repo.Counter, repo.DefaultBranch = true, 33, "main"
		if !slices.Contains(repos, repo) {
			t.Errorf("%+v is not among the repositories", repo)
		}
		build, err := s.Build(t.Context(), repo11, 33)
		if build.ID != 190 || build.Number != 33 || build.Status != droneapi.StatusKilled || build.Created == 0 {
			t.Errorf("build %+v, %v", build, err)
		}
		want := []droneapi.Stage{
			{ID: 177, RepoID: 12, BuildID: 190, Status: droneapi.StatusKilled},
			{ID: 178, RepoID: 12, BuildID: 190, Status: droneapi.StatusSuccess},
			{ID: 179, RepoID: 12, BuildID: 190, Status: droneapi.StatusSkipped},
		}
		for i := range build.Stages {
			build.Stages[i] = droneapi.Stage{
				ID: build.Stages[i].ID, RepoID: build.Stages[i].RepoID, BuildID: build.Stages[i].BuildID,
				Status: build.Stages[i].Status,
			}
		}
		if diff := cmp.Diff(want, build.Stages); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
	}
}

func TestQueueRecorded(t *testing.T) {
	queue, err := newScene(t, dronetest.Enterprise).Queue(t.Context())
	count := make(map[droneapi.Status]int)
	for _, stage := range queue {
		count[stage.Status]++
	}
	want := map[droneapi.Status]int{droneapi.StatusPending: 6, droneapi.StatusRunning: 2}
	if diff := cmp.Diff(want, count); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestPages(t *testing.T) {
	s := newScene(t, dronetest.Community)
	last := int64(34)
	for page := 1; page <= 5; page++ {
		builds, err := s.Builds(t.Context(), repo11, page, 10)
		if err != nil || builds == nil {
			t.Fatalf("page %d: %v, %v", page, builds, err)
		}
		if want := []int{10, 10, 10, 3, 0}[page-1]; len(builds) != want {
			t.Errorf("page %d has %d builds, want %d", page, len(builds), want)
		}
		for _, build := range builds {
			if build.Number != last-1 {
				t.Errorf("page %d: build %d after %d", page, build.Number, last)
			}
			last = build.Number
		}
	}
}

func TestUnknown(t *testing.T) {
	s := newScene(t, dronetest.Enterprise)
	_, err := s.Build(t.Context(), repo11, 99999)
	missing := failure[*droneapi.HTTPError](t, err)
	const want = "GET /api/repos/org0/service-00011/builds/99999: 404 Not Found: sql: no rows in result set"
	if missing.Error() != want || !missing.Missing() {
		t.Errorf("error %q, want %q", missing, want)
	}
	_, err = s.Builds(t.Context(), droneapi.Repo{Namespace: "org0", Name: "nothing"}, 1, 1)
	if got := failure[*droneapi.HTTPError](t, err).Error(); got != "GET /api/repos/org0/nothing/builds: 404 Not Found" {
		t.Errorf("error %q", got)
	}
	_, err = s.UserOf(t.Context(), secret.New("token-of-nobody"))
	if got := failure[*droneapi.HTTPError](t, err).Error(); got != "GET /api/user: 401 Unauthorized" {
		t.Errorf("error %q", got)
	}
	_, err = s.UserOf(t.Context(), secret.Text{})
	if got := failure[*droneapi.HTTPError](t, err).Status; got != http.StatusUnauthorized {
		t.Errorf("without a token the status is %d", got)
	}
	seen, _ := s.sent.requests()
	if _, given := seen[len(seen)-1].Header["Authorization"]; given {
		t.Error("an empty token was sent")
	}
}

func TestStatuses(t *testing.T) {
	for status, want := range map[droneapi.Status][2]bool{ // known, final
		"blocked": {true, false}, "waiting_on_dependencies": {true, false}, "pending": {true, false},
		"running": {true, false}, "success": {true, true}, "failure": {true, true}, "killed": {true, true},
		"error": {true, true}, "skipped": {true, true}, "declined": {true, true}, "": {}, "Success": {}, "paused": {},
	} {
		if got := [2]bool{status.Known(), status.Final()}; got != want {
			t.Errorf("%q is known, final: %v, want %v", status, got, want)
		}
	}
}
