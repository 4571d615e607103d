package dronetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"drone-otel-agent/droneapi/testdata"
)

// RecordedAt is when the recorded answers were taken, in Unix seconds: nothing in them is later.
const RecordedAt = 1795359424

// recordedIDs are the build ids of each repository in the recorded database, which was filled
// repository by repository, and the number that the repository lacks besides those purged from
// below (0: none). Which number is missing does not follow from the recordings.
func recordedIDs() []struct{ repo, first, last, gap int64 } {
	return []struct{ repo, first, last, gap int64 }{
		{2, 1, 25, 0}, {3, 26, 32, 0}, {4, 33, 38, 0}, {5, 39, 44, 0}, {6, 45, 73, 0}, {7, 74, 91, 10},
		{8, 92, 106, 0}, {9, 107, 126, 0}, {10, 127, 131, 0}, {11, 132, 157, 14}, {12, 158, 190, 0},
		{13, 191, 212, 0},
	}
}

// LoadRecorded replaces the world by the database behind the recorded answers in droneapi/testdata.
// What they do not hold, most of the 212 builds, is made up as builds that ended; the totals are
// those of the real database. Users' tokens but that of prometheus are "token-of-LOGIN".
func (s *Server) LoadRecorded() error {
	rec, err := readRecorded()
	if err != nil {
		return fmt.Errorf("load recorded answers: %w", err)
	}
	w := newWorld()
	for _, u := range rec.users {
		if u.Login == "prometheus" {
			u.Token = DefaultToken
		}
		w.addUser(u, RecordedAt)
	}
	for _, r := range rec.repos {
		w.addRepo(r, RecordedAt)
	}
	for _, b := range rec.builds {
		for _, st := range b.Stages {
			next(&w.lastStage, st.ID)
			for _, step := range st.Steps {
				next(&w.lastStep, step.ID)
			}
		}
	}
	for _, ids := range recordedIDs() {
		if err := w.fillRecorded(rec.builds, w.byID[ids.repo], ids.first, ids.last, ids.gap); err != nil {
			return fmt.Errorf("load recorded answers: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world = w
	return nil
}

// recorded is what the recorded answers tell.
type recorded struct {
	users  []User
	repos  []Repo
	builds map[int64]*Build // by id; with stages where any answer tells of them
}

func readRecorded() (recorded, error) {
	rec := recorded{builds: make(map[int64]*Build)}
	var incomplete []Repo
	var lists [3][]*Build
	var queue []*Stage
	for name, v := range map[string]any{
		"users.json": &rec.users, "repos.json": &rec.repos, "queue.json": &queue,
		"builds_incomplete.json": &incomplete, "builds_default.json": &lists[0],
		"builds_page1.json": &lists[1], "builds_page2.json": &lists[2],
	} {
		if err := readJSON(name, v); err != nil {
			return rec, err
		}
	}
	for _, b := range slices.Concat(lists[:]...) {
		rec.builds[b.ID] = b
	}
	for _, r := range incomplete {
		rec.builds[r.Build.ID] = r.Build
	}
	for _, st := range queue {
		b := rec.builds[st.BuildID]
		if b == nil {
			return rec, fmt.Errorf("queue.json: stage %d: no answer tells of build %d", st.ID, st.BuildID)
		}
		b.Stages = append(b.Stages, st)
	}
	return rec, readRecordedDetails(rec.builds)
}

// readRecordedDetails reads the builds that were asked for one by one.
func readRecordedDetails(builds map[int64]*Build) error {
	files, err := testdata.FS.ReadDir("enterprise")
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "build_") || f.Name() == "build_unknown_number.json" {
			continue
		}
		b := new(Build)
		if err := readJSON(f.Name(), b); err != nil {
			return err
		}
		builds[b.ID] = b
	}
	return nil
}

func readJSON(name string, v any) error {
	data, err := testdata.FS.ReadFile("enterprise/" + name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// fillRecorded gives a repository its builds with the ids from first to last, the recorded ones and
// half an hour apart the made-up ones.
func (w *world) fillRecorded(builds map[int64]*Build, rp *repo, first, last, gap int64) error {
	newest := int64(RecordedAt)
	if b := builds[last]; b != nil {
		newest = b.Created
	}
	for id := first; id <= last; id++ {
		number := rp.Counter - (last - id)
		if number <= gap {
			number--
		}
		w.lastBuild = id - 1
		b := builds[id]
		if b == nil {
			status := [...]uint8{0, 0, 1, 0, 2, 0, 1}[id%7]
			created := newest - (last-id)*1800
			rp.rows = append(rp.rows, w.newRow(number, created, uint32(5+id%50), uint32(30+id%400), 1, status))
			continue
		}
		if b.Number != number || b.RepoID != rp.ID {
			return fmt.Errorf("build %d: it is %d of repository %d, want %d of %d",
				id, b.Number, b.RepoID, number, rp.ID)
		}
		w.lastBuild = id
		w.completeStages(b)
		w.insert(rp, b)
	}
	return nil
}

// completeStages adds what the recordings leave out: the only stage of a finished build that is in
// lists alone, the stages that the queue does not show because they wait, the steps of stages that
// run or will.
func (w *world) completeStages(b *Build) {
	if len(b.Stages) == 0 {
		status := uint8(slices.Index([]string{StatusSuccess, StatusFailure}, b.Status))
		r := w.newRow(b.Number, b.Created, 0, 0, 1, status)
		w.lastBuild = b.ID
		b.Stages = []*Stage{r.expandStage(b, 0)}
	}
	slices.SortFunc(b.Stages, func(a, c *Stage) int { return cmp.Compare(a.Number, c.Number) })
	for i := 0; i < len(b.Stages); i++ {
		if b.Stages[i].Number > i+1 {
			st := newStage(i+1, StageSpec{Name: "integration", DependsOn: []string{"default"}}, b.Created)
			st.ID, st.RepoID, st.BuildID, st.Status = b.Stages[i].ID-1, b.RepoID, b.ID, StatusWaiting
			b.Stages = slices.Insert(b.Stages, i, st)
		}
		st := b.Stages[i]
		st.plan = []string{"clone", "build", "test"}
		if st.Status == StatusRunning && len(st.Steps) == 0 {
			w.lastStep = st.addSteps(w.lastStep)
			st.Steps[0].Status, st.Steps[0].Started = StatusRunning, st.Started
		}
	}
}
