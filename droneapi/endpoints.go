package droneapi

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/url"
	"strconv"

	"drone-otel-agent/internal/secret"
)

// MaxBuildsPerPage is the largest page of a builds list: Drone silently makes 25 of anything larger.
const MaxBuildsPerPage = 100

// UserPath is the endpoint that says who a token is.
const UserPath = "/api/user"

// reposPerPage asks for every repository in one answer: the list has no order, so pages of it may overlap or
// miss rows while it changes. Drone does not cap it. 100,000 repositories are some 70 MB, about the most
// that Config.MaxAnswerBytes is meant for.
const reposPerPage = 100_000

// maxCounter is the highest build number that is believed; a server that made a build every second needs
// sixty years for it.
const maxCounter = 1 << 31

// maxTime is the last second of the year 9999, the last one that every notation of a time can hold.
const maxTime = 253402300799

// maxTotal is the highest number of builds of a whole server that is believed.
const maxTotal = 1 << 40

// Version returns the server's version, "2.25.0". Drone answers it to anyone.
func (c *Client) Version(ctx context.Context) (string, error) {
	var out struct {
		Version string `json:"version"`
	}
	err := c.get(ctx, c.token, "/version", nil, func(raw []byte) error {
		if err := json.Unmarshal(raw, &out); err != nil {
			return err
		}
		if out.Version == "" {
			return fmt.Errorf("it names no version")
		}
		return nil
	})
	return clip(out.Version), err
}

// User returns who the client's own token is.
func (c *Client) User(ctx context.Context) (User, error) { return c.user(ctx, c.token) }

// UserOf returns who another token is. A 401 means that Drone does not know it. It is asked once, without retries,
// beside the client's other requests: see othersSlots.
func (c *Client) UserOf(ctx context.Context, token secret.Text) (User, error) {
	return c.user(context.WithValue(ctx, othersKey{}, true), secret.Static(token))
}

// OwnToken tells whether a token is the client's own.
func (c *Client) OwnToken(token secret.Text) bool {
	own, err := c.token.Get()
	return err == nil && !own.Empty() && own.Equal(token)
}

func (c *Client) user(ctx context.Context, token secret.Source) (User, error) {
	var out User
	err := c.get(ctx, token, UserPath, nil, func(raw []byte) error {
		if err := json.Unmarshal(raw, &out); err != nil {
			return err
		}
		if out.ID <= 0 || out.Login == "" {
			return fmt.Errorf("it names no user")
		}
		return nil
	})
	return out, err
}

// Users returns every user, machines and inactive ones too. It needs an administrator's token.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	return list(ctx, c, "/api/users", nil, func(u User) error { return positive("id", u.ID) })
}

// reposAnswer is the last list of repositories and the checksum of the answer it came in.
type reposAnswer struct {
	sum   uint64
	seed  maphash.Seed
	repos []Repo
}

// Repos returns every repository, active or not, each once, in no order. It needs an administrator's token.
// While nothing changes on the server the same slice is returned, and costs no decoding: it must not be
// changed.
func (c *Client) Repos(ctx context.Context) ([]Repo, error) {
	var (
		all  []Repo
		seen = map[int64]bool{}
	)
	for page := 1; ; page++ {
		repos, err := c.reposPage(ctx, page)
		if err != nil {
			return nil, err
		}
		if page == 1 && len(repos) < reposPerPage {
			return repos, nil
		}
		for _, repo := range repos {
			if !seen[repo.ID] {
				seen[repo.ID] = true
				all = append(all, repo)
			}
		}
		if len(repos) < reposPerPage {
			return all, nil
		}
	}
}

func (c *Client) reposPage(ctx context.Context, page int) ([]Repo, error) {
	query := pageQuery(page, reposPerPage)
	var out []Repo
	err := c.get(ctx, c.token, "/api/repos", query, func(raw []byte) error {
		c.reposMu.Lock()
		defer c.reposMu.Unlock()
		if page == 1 && c.repos.repos != nil && maphash.Bytes(c.repos.seed, raw) == c.repos.sum {
			out = c.repos.repos
			return nil
		}
		repos, err := decodeList(raw, checkRepo)
		if err != nil {
			return err
		}
		if page == 1 {
			seed := maphash.MakeSeed()
			c.repos = reposAnswer{sum: maphash.Bytes(seed, raw), seed: seed, repos: repos}
		}
		out = repos
		return nil
	})
	return out, err
}

func checkRepo(r Repo) error {
	switch {
	case r.ID <= 0:
		return positive("id", r.ID)
	case r.Namespace == "" || r.Name == "" || r.Slug == "":
		return fmt.Errorf("repository %d has no name", r.ID)
	case r.Counter < 0 || r.Counter > maxCounter:
		return fmt.Errorf("repository %d: its counter is %d", r.ID, r.Counter)
	}
	return nil
}

// Queue returns every stage that is pending or running, without steps. Enterprise edition only; it needs an
// administrator's token.
func (c *Client) Queue(ctx context.Context) ([]Stage, error) {
	return list(ctx, c, "/api/queue", nil, checkStage)
}

func checkStage(s Stage) error {
	switch {
	case s.ID <= 0 || s.RepoID <= 0 || s.BuildID <= 0:
		return fmt.Errorf("stage %d of build %d of repository %d: no such ids", s.ID, s.BuildID, s.RepoID)
	case s.Status == "":
		return fmt.Errorf("stage %d has no status", s.ID)
	}
	return nil
}

// Stats returns the server's exact totals. Drone counts every row for it: 0.8 s of its CPU at 870,000
// builds. Enterprise edition only; it needs an administrator's token.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var out struct {
		Builds *struct {
			Total int64 `json:"total"`
		} `json:"builds"`
	}
	err := c.get(ctx, c.token, "/api/system/stats", nil, func(raw []byte) error {
		if err := json.Unmarshal(raw, &out); err != nil {
			return err
		}
		if out.Builds == nil || out.Builds.Total < 0 || out.Builds.Total > maxTotal {
			return fmt.Errorf("it has no usable total of builds")
		}
		return nil
	})
	if err != nil {
		return Stats{}, err
	}
	return Stats{Builds: out.Builds.Total}, nil
}

// Builds returns one page of a repository's builds, the newest first, without stages. Pages count from 1;
// perPage is at most MaxBuildsPerPage. A page past the end is empty. A 404 means that Drone does not serve
// this repository: its namespace holds a slash, or it is gone.
func (c *Client) Builds(ctx context.Context, repo Repo, page, perPage int) ([]Build, error) {
	return list(ctx, c, repoPath(repo, "builds"), pageQuery(page, perPage), checkBuild)
}

// Build returns one build with its stages. A 404 means that there is none of that number.
func (c *Client) Build(ctx context.Context, repo Repo, number int64) (Build, error) {
	var out Build
	path := repoPath(repo, "builds", strconv.FormatInt(number, 10))
	err := c.get(ctx, c.token, path, nil, func(raw []byte) error {
		if err := json.Unmarshal(raw, &out); err != nil {
			return err
		}
		if out.Number != number {
			return fmt.Errorf("it is about build %d", out.Number)
		}
		return checkBuild(out)
	})
	return out, err
}

func checkBuild(b Build) error {
	switch {
	case b.ID <= 0:
		return positive("id", b.ID)
	case b.Number <= 0 || b.Number > maxCounter:
		return fmt.Errorf("build id %d: its number is %d", b.ID, b.Number)
	case min(b.Created, b.Started, b.Finished) < 0 || max(b.Created, b.Started, b.Finished) > maxTime:
		return fmt.Errorf("build %d: a time before 1970 or after 9999", b.Number)
	case b.Status == "":
		return fmt.Errorf("build %d has no status", b.Number)
	}
	for _, stage := range b.Stages {
		if err := checkStage(stage); err != nil {
			return fmt.Errorf("build %d: %w", b.Number, err)
		}
	}
	return nil
}

func positive(name string, n int64) error {
	if n <= 0 {
		return fmt.Errorf("%s is %d", name, n)
	}
	return nil
}

func pageQuery(page, perPage int) url.Values {
	return url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(perPage)}}
}

// list asks for a JSON array and checks each element.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, check func(T) error) ([]T, error) {
	var out []T
	err := c.get(ctx, c.token, path, query, func(raw []byte) (err error) {
		out, err = decodeList(raw, check)
		return err
	})
	return out, err
}

func decodeList[T any](raw []byte, check func(T) error) ([]T, error) {
	var out []T
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	if out == nil {
		return nil, fmt.Errorf("null where a list belongs")
	}
	for i, element := range out {
		if err := check(element); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return out, nil
}
