package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// TestUnusableState gives the agent files that it must not use, and sees that it says so, keeps them, and works.
func TestUnusableState(t *testing.T) {
	bolt := func(meta string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			t.Helper()
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucket(bucketMeta())
				if err != nil {
					return err
				}
				return bucket.Put(keyMeta(), []byte(meta))
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	raw := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := []struct {
		name  string
		write func(t *testing.T, path string)
		said  string
	}{
		{"text", raw("this is no database, however long the text may be that stands in it"), "set aside"},
		{"cut short", func(t *testing.T, path string) {
			bolt(`{"version":1,"server":"http://drone.test"}`)(t, path)
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		}, "set aside"},
		{"newer", bolt(`{"version":2,"server":"http://drone.test"}`), "it has version 2"},
		{"foreign", bolt(`{"version":1,"server":"http://other.test"}`), "about the server http://other.test"},
		{"rubbish", bolt(`nonsense`), "cannot be read"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, stateFile)
			c.write(t, path)
			logs := &logBuffer{}
			s := openState(folder, "http://drone.test", slog.New(slog.NewTextHandler(logs, nil)))
			defer s.close()
			if logs.count(c.said) != 1 || logs.count("set aside") != 1 {
				t.Errorf("the log does not say %q, once:\n%s", c.said, logs.buf.String())
			}
			aside, err := filepath.Glob(path + ".unusable-*")
			if err != nil || len(aside) != 1 {
				t.Errorf("set aside: %v, %v", aside, err)
			}
			r := &repository{Repo: droneapi.Repo{ID: 7, Slug: "a/b", Counter: 3}}
			if left := s.save(community, map[int64]*repository{7: r}); left != nil || s.db == nil {
				t.Errorf("the new file cannot be written:\n%s", logs.buf.String())
			}
		})
	}
}

// TestDamagedRecords damages one record in a good file.
func TestDamagedRecords(t *testing.T) {
	damages := []string{"", "{", `{"settled":-1}`, `{"settled":1,"awaited":{"5":1}}`, `{"open":[{"number":0}]}`}
	for _, damage := range damages {
		folder := t.TempDir()
		log := slog.New(slog.DiscardHandler)
		s := openState(folder, "http://drone.test", log)
		s.save(community, map[int64]*repository{7: {Repo: droneapi.Repo{ID: 7}, ledger: ledger{settled: 4}}})
		err := s.db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketRepos()).Put([]byte{0, 0, 0, 0, 0, 0, 0, 8}, []byte(damage))
		})
		if err != nil {
			t.Fatal(err)
		}
		w := newWatcher(nil, testWatchConfig(), time.Now, log)
		s.load(w)
		if len(w.repos) != 0 || w.restored {
			t.Errorf("%q: taken over all the same: %v", damage, w.repos)
		}
		if aside, _ := filepath.Glob(filepath.Join(folder, stateFile+".unusable-*")); len(aside) != 1 {
			t.Errorf("%q: set aside: %v", damage, aside)
		}
		s.close()
	}
}

// TestStateThatCannotBeWritten sees that the agent says so once and goes on.
func TestStateThatCannotBeWritten(t *testing.T) {
	logs := &logBuffer{}
	log := slog.New(slog.NewTextHandler(logs, nil))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openState(file, "http://drone.test", log)
	if s.db != nil || logs.count("the agent runs on") != 1 {
		t.Errorf("a file in the place of the folder:\n%s", logs.buf.String())
	}
	if left := s.save(community, map[int64]*repository{1: {}}); left != nil {
		t.Errorf("without a file %d repositories are kept to be written", len(left))
	}

	good := openState(t.TempDir(), "http://drone.test", log)
	defer good.close()
	if err := good.db.Close(); err != nil { // stands for a disk that fails
		t.Fatal(err)
	}
	for range 3 {
		if left := good.save(community, map[int64]*repository{1: {}}); len(left) != 1 {
			t.Errorf("after a failed write %d repositories are kept to be written, want 1", len(left))
		}
	}
	if n := logs.count("the state cannot be written"); n != 1 {
		t.Errorf("the failure was logged %d times, want once", n)
	}
}

// TestTwoAgentsOneState is a mistake that must not harm the first.
func TestTwoAgentsOneState(t *testing.T) {
	folder := t.TempDir()
	logs := &logBuffer{}
	first := openState(folder, "http://drone.test", slog.New(slog.DiscardHandler))
	defer first.close()
	second := openState(folder, "http://drone.test", slog.New(slog.NewTextHandler(logs, nil)))
	if second.db != nil || logs.count("another process holds it") != 1 {
		t.Errorf("the second agent:\n%s", logs.buf.String())
	}
	if aside, _ := filepath.Glob(filepath.Join(folder, stateFile+".unusable-*")); len(aside) != 0 {
		t.Error("the file of the first agent was set aside")
	}
}

// TestStateKeepsEverything writes what a busy server gave and reads it back.
func TestStateKeepsEverything(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		folder := t.TempDir()
		drone := dronetest.New(edition)
		disorder(drone)
		r := newStatefulRig(t, drone, folder)
		r.mustPoll(t)
		before := r.watcher.repos
		r = r.restart(t, folder)
		for id, want := range before {
			got := r.watcher.repos[id]
			if got == nil {
				t.Fatalf("repository %s is not known any more", want.Slug)
			}
			if got.ledger.settled != want.ledger.settled || len(got.ledger.awaited) != len(want.ledger.awaited) ||
				len(got.open) != len(want.open) || got.builds != want.builds || got.counted != want.counted {
				t.Errorf("%s: got %+v, want %+v", want.Slug, got, want)
			}
		}
		r.mustPoll(t)
		r.exact(t, "after the restart")
	})
}

// FuzzDecodeRecord feeds the reader of the state with anything: it must refuse or understand, and never panic,
// and what it understood must be written as it was read.
func FuzzDecodeRecord(f *testing.F) {
	f.Add(int64(1), []byte(`{"slug":"a/b","counter":5,"settled":5,"awaited":{"4":1},"builds":4}`))
	f.Add(int64(1), []byte(`{"slug":"a/b","counter":5,"settled":5,"open":[{"id":9,"number":3,"created":1795359424}]}`))
	f.Add(int64(2), []byte(`{"last":{"number":3,"success":true,"seconds":1.5,"finished":1795359424}}`))
	f.Add(int64(-1), []byte(`{}`))
	f.Add(int64(3), []byte(`{"settled":-5}`))
	f.Fuzz(func(t *testing.T, id int64, raw []byte) {
		r, err := decodeRecord(id, raw)
		if err != nil {
			return
		}
		if r.ID <= 0 || r.ledger.settled < 0 || r.builds < 0 {
			t.Errorf("%q was understood as %+v", raw, r)
		}
		for number := range r.ledger.awaited {
			if number <= 0 || number > r.ledger.settled {
				t.Errorf("%q awaits build %d of %d", raw, number, r.ledger.settled)
			}
		}
	})
}
