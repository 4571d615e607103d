package droneapi

import (
	"errors"
	"io/fs"
	"path"
	"testing"

	"drone-otel-agent/droneapi/testdata"
)

// FuzzDecode gives any bytes for the answer of every method: what comes back can be true or is a DataError, and
// does not live in the answer's memory, which the lender spoils.
func FuzzDecode(f *testing.F) {
	err := fs.WalkDir(testdata.FS, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".json" || file == "index.json" {
			return err
		}
		raw, err := testdata.FS.ReadFile(file)
		f.Add(raw)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, odd := range []string{
		`null`, `[null]`, `[{"id":1e30}]`, `[{"id":-3}]`, `[{"id":1,"counter":1099511627776}]`, `{"builds":{"total":-1}}`,
		"[{\"id\":1,\"login\":\"\xff\"}]", `{"id":1,"ID":2,"number":33,"number":34,"status":"x","stages":[{}]}`, `[[[[`,
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		client, watch := lending(t, stub{raw})
		repo := Repo{Namespace: "a", Name: "b"}
		version, err := client.Version(t.Context())
		believable(t, err, version != "")
		user, err := client.User(t.Context())
		believable(t, err, user.ID > 0 && user.Login != "")
		users, err := client.Users(t.Context())
		believableList(t, err, users, func(u User) bool { return u.ID > 0 })
		repos, err := client.Repos(t.Context())
		believableList(t, err, repos, func(r Repo) bool {
			return r.ID > 0 && r.Counter >= 0 && r.Counter <= maxCounter && r.Slug != "" && r.Name != "" && r.Namespace != ""
		})
		if again, err := client.Repos(t.Context()); len(repos) > 0 && (err != nil || &again[0] != &repos[0]) {
			t.Errorf("the same answer was decoded again: %v", err)
		}
		stages, err := client.Queue(t.Context())
		believableList(t, err, stages, believableStage)
		stats, err := client.Stats(t.Context())
		believable(t, err, stats.Builds >= 0 && stats.Builds <= maxTotal)
		builds, err := client.Builds(t.Context(), repo, 1, 10)
		believableList(t, err, builds, believableBuild)
		build, err := client.Build(t.Context(), repo, 33)
		believable(t, err, build.Number == 33 && believableBuild(build))
		if watch.out.Load() != 0 {
			t.Errorf("%d answers are not given back", watch.out.Load())
		}
	})
}

func believable(t *testing.T, err error, ok bool) {
	t.Helper()
	var data *DataError
	switch {
	case err == nil && !ok:
		t.Error("what cannot be true was believed")
	case err != nil && (!errors.As(err, &data) || len(data.Error()) > 1000):
		t.Errorf("error %v (%T), want a short DataError", err, err)
	}
}

func believableList[T any](t *testing.T, err error, list []T, ok func(T) bool) {
	t.Helper()
	believable(t, err, list != nil)
	for _, element := range list {
		believable(t, err, ok(element))
	}
}

func believableStage(s Stage) bool {
	return s.ID > 0 && s.RepoID > 0 && s.BuildID > 0 && s.Status != ""
}

func believableBuild(b Build) bool {
	for _, stage := range b.Stages {
		if !believableStage(stage) {
			return false
		}
	}
	for _, at := range []int64{b.Created, b.Started, b.Finished} {
		if at < 0 || at > maxTime {
			return false
		}
	}
	return b.ID > 0 && b.Number > 0 && b.Number <= maxCounter && b.Status != ""
}
