package dronetest

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// noRows is the message of Drone's 404 where the database has no such row.
const noRows = "sql: no rows in result set"

func (s *Server) handleVersion(c *call) {
	s.mu.RLock()
	version := s.version
	s.mu.RUnlock()
	c.reply(encode(struct {
		Version string `json:"version,omitempty"`
	}{version}))
}

func (s *Server) handleHealth(c *call) {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.w.Write([]byte("OK"))
}

func (s *Server) handleUser(c *call) { c.reply(encode(c.user)) }

func (s *Server) handleUsers(c *call) { c.reply(encode(s.Users())) }

// paging reads page and per_page as Drone does: what is no number counts as 0, and limits outside
// of 1 to most (0: no most) become 25.
func (c *call) paging(most int) (limit, offset int) {
	limit, _ = strconv.Atoi(c.r.FormValue("per_page"))
	page, _ := strconv.Atoi(c.r.FormValue("page"))
	if limit < 1 || most > 0 && limit > most {
		limit = 25
	}
	return limit, max(0, page-1) * limit
}

// window cuts a page out of n rows.
func window(n, limit, offset int) (from, to int) {
	from = min(n, max(0, offset))
	return from, from + min(n-from, limit)
}

// handleRepos writes the encoded rows of a page; only rows that changed are encoded anew.
func (s *Server) handleRepos(c *call) {
	limit, offset := c.paging(0)
	buf := s.pages.Get().(*bytes.Buffer)
	defer s.pages.Put(buf)
	buf.Reset()
	buf.WriteByte('[')

	s.mu.Lock()
	repos := s.world.repos
	if s.shuffle != nil {
		repos = slices.Clone(repos)
		s.shuffle.Shuffle(len(repos), func(i, j int) { repos[i], repos[j] = repos[j], repos[i] })
	}
	from, to := window(len(repos), limit, offset)
	for i, rp := range repos[from:to] {
		if i > 0 {
			buf.WriteByte(',')
		}
		if rp.encoded == nil {
			rp.encoded = bytes.TrimSuffix(encode(&rp.Repo), []byte("\n"))
		}
		buf.Write(rp.encoded)
	}
	s.mu.Unlock()

	buf.WriteString("]\n")
	c.reply(buf.Bytes())
}

// openStages gives the stages pending or running, those of deleted repositories too, by id.
func (w *world) openStages() []*Stage {
	list := []*Stage{}
	for _, b := range w.open {
		for _, st := range b.Stages {
			if st.Status == StatusPending || st.Status == StatusRunning {
				list = append(list, st)
			}
		}
	}
	slices.SortFunc(list, func(a, b *Stage) int { return int(a.ID - b.ID) })
	return list
}

func (s *Server) handleQueue(c *call) {
	s.mu.RLock()
	stages := s.world.openStages()
	for i, st := range stages {
		bare := *st
		bare.Steps = nil
		stages[i] = &bare
	}
	body := encode(stages)
	s.mu.RUnlock()
	c.reply(body)
}

// openBuilds gives the builds with a stage pending or running whose repository exists, newest first.
func (w *world) openBuilds() []*Build {
	ids := slices.Sorted(maps.Keys(w.open))
	slices.Reverse(ids)
	list := make([]*Build, 0, len(ids))
	for _, id := range ids {
		if b := w.open[id]; w.byID[b.RepoID] != nil {
			list = append(list, b)
		}
	}
	return list
}

// incompleteCap is where Drone's query stops.
const incompleteCap = 50

func (s *Server) handleIncomplete(c *call) {
	s.mu.RLock()
	builds := s.world.openBuilds()
	list := make([]Repo, 0, incompleteCap)
	for _, b := range builds[:min(len(builds), incompleteCap)] {
		bare := *b
		bare.Stages = nil
		r := s.world.byID[b.RepoID].Repo
		r.Build = &bare
		list = append(list, r)
	}
	body := encode(list)
	s.mu.RUnlock()
	c.reply(body)
}

func (s *Server) handleIncompleteStages(c *call) {
	s.mu.RLock()
	list := []stageRow{}
	for _, b := range s.world.openBuilds() {
		for _, st := range b.Stages {
			if st.Status == StatusPending || st.Status == StatusRunning {
				list = append(list, newStageRow(s.world.byID[b.RepoID], b, st))
			}
		}
	}
	s.mu.RUnlock()
	c.reply(encode(list))
}

func newStageRow(rp *repo, b *Build, st *Stage) stageRow {
	return stageRow{
		RepoNamespace: rp.Namespace, RepoName: rp.Name, RepoSlug: rp.Slug,
		BuildNumber: b.Number, BuildAuthor: b.Author, BuildAuthorName: b.AuthorName,
		BuildAuthorEmail: b.AuthorEmail, BuildAuthorAvatar: b.AuthorAvatar, BuildSender: b.Sender,
		BuildStarted: b.Started, BuildFinished: b.Finished, BuildCreated: b.Created, BuildUpdated: b.Updated,
		StageName: st.Name, StageKind: st.Kind, StageType: st.Type, StageStatus: st.Status,
		StageMachine: st.Machine, StageOS: st.OS, StageArch: st.Arch, StageVariant: st.Variant,
		StageKernel: st.Kernel, StageLimit: st.Limit, StageLimitRepo: st.LimitRepo,
		StageStarted: st.Started, StageStopped: st.Stopped,
	}
}

// repo is the repository of a request; nil where it went away since the rights were checked.
func (s *Server) repo(c *call) *repo {
	return s.world.bySlug[c.params["owner"]+"/"+c.params["name"]]
}

func (s *Server) handleRepo(c *call) {
	s.mu.RLock()
	var body []byte
	if rp := s.repo(c); rp != nil {
		body = encode(&rp.Repo)
	}
	s.mu.RUnlock()
	if body == nil {
		c.fail(http.StatusNotFound, noRows)
		return
	}
	c.reply(body)
}

func (s *Server) handleBuilds(c *call) {
	limit, offset := c.paging(100)
	ref := ""
	if branch := c.r.FormValue("branch"); branch != "" {
		ref = "refs/heads/" + branch
	} else if tag := c.r.FormValue("tag"); tag != "" {
		ref = "refs/tags/" + tag
	}
	s.mu.RLock()
	rp := s.repo(c)
	if rp == nil {
		s.mu.RUnlock()
		c.fail(http.StatusNotFound, noRows)
		return
	}
	body := encode(rp.page(ref, limit, offset))
	s.mu.RUnlock()
	c.reply(body)
}

// number reads a number out of the path, or answers 400 with Go's words as Drone does.
func (c *call) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(c.params[name], 10, 64)
	if err != nil {
		c.fail(http.StatusBadRequest, err.Error())
		return 0, false
	}
	return n, true
}

// withBuild answers with what do gives of the build that the path names, or with 404 for nil.
func (s *Server) withBuild(c *call, do func(*Build) []byte) {
	number, ok := c.number("number")
	if !ok {
		return
	}
	s.mu.RLock()
	var body []byte
	if rp := s.repo(c); rp != nil {
		if b := rp.build(number); b != nil {
			body = do(b)
		}
	}
	s.mu.RUnlock()
	if body == nil {
		c.fail(http.StatusNotFound, noRows)
		return
	}
	c.reply(body)
}

func (s *Server) handleBuild(c *call) {
	s.withBuild(c, func(b *Build) []byte { return encode(b) })
}

// logLine is an element of a step's log. Time is in seconds since the step started.
type logLine struct {
	Pos  int    `json:"pos"`
	Out  string `json:"out"`
	Time int64  `json:"time"`
}

// handleLogs makes up a few lines for a step that is over; a runner stores them at the end.
func (s *Server) handleLogs(c *call) {
	stage, ok := c.number("stage")
	if !ok {
		return
	}
	step, ok := c.number("step")
	if !ok {
		return
	}
	s.withBuild(c, func(b *Build) []byte {
		if stage < 1 || stage > int64(len(b.Stages)) {
			return nil
		}
		steps := b.Stages[stage-1].Steps
		if step < 1 || step > int64(len(steps)) || !done(steps[step-1].Status) || steps[step-1].Started == 0 {
			return nil
		}
		st := steps[step-1]
		lines := []logLine{
			{0, "+ make " + st.Name + "\n", 0},
			{1, "working on build " + strconv.FormatInt(b.Number, 10) + "\n", 0},
			{2, "exit " + strconv.Itoa(st.ExitCode) + "\n", max(0, st.Stopped-st.Started)},
		}
		return bytes.TrimSuffix(encode(lines), []byte("\n"))
	})
}
