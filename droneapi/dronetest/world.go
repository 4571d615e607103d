package dronetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// world is the database. Its methods want the server's lock held.
type world struct {
	users   []*User // in the order of their ids
	byToken map[string]*User
	repos   []*repo // in the order of their ids
	bySlug  map[string]*repo
	byID    map[int64]*repo
	orphans []*repo          // deleted ones that left builds behind, which Drone goes on counting
	open    map[int64]*Build // by id: those with a stage pending or running
	perms   map[perm]bool

	lastUser, lastRepo, lastBuild, lastStage, lastStep int64
}

// perm is the right of a user to read a private repository, kept by the repository's uid.
type perm struct {
	user int64
	repo string
}

// repo is a repository with its builds.
type repo struct {
	Repo
	encoded []byte           // the row of /api/repos; nil: encode it anew
	rows    []row            // every build, in the order of build ids
	full    map[int64]*Build // by build id: those that are more than their row
	mixed   bool             // numbers are not ascending: one was stored after a later one
}

func newWorld() world {
	return world{
		byToken: make(map[string]*User),
		bySlug:  make(map[string]*repo),
		byID:    make(map[int64]*repo),
		open:    make(map[int64]*Build),
		perms:   make(map[perm]bool),
	}
}

// AddUser adds a user and gives the whole row. Login is required; an empty Token becomes
// "token-of-LOGIN", zero times become now.
func (s *Server) AddUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.world.addUser(u, s.unix())
}

func (w *world) addUser(u User, now int64) *User {
	if u.Login == "" || w.user(u.Login) != nil {
		panic(fmt.Sprintf("dronetest: add user %q: the login is empty or taken", u.Login))
	}
	if u.Token == "" {
		u.Token = "token-of-" + u.Login
	}
	u.ID = next(&w.lastUser, u.ID)
	u.Created = cmp.Or(u.Created, now)
	u.Updated = cmp.Or(u.Updated, now)
	w.users = append(w.users, &u)
	w.byToken[u.Token] = &u
	return &u
}

// next takes an id from the sequence; an id that is given moves the sequence past it.
func next(last *int64, given int64) int64 {
	if given == 0 {
		given = *last + 1
	}
	*last = max(*last, given)
	return given
}

func (w *world) user(login string) *User {
	for _, u := range w.users {
		if u.Login == login {
			return u
		}
	}
	return nil
}

// RemoveUser deletes a user; the token is unknown from then on.
func (s *Server) RemoveUser(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.user(login)
	if u == nil {
		panic(fmt.Sprintf("dronetest: remove user %q: no such user", login))
	}
	s.world.users = slices.DeleteFunc(s.world.users, func(v *User) bool { return v == u })
	delete(s.world.byToken, u.Token)
}

// UpdateUser changes a user in place: rights, activity, token.
func (s *Server) UpdateUser(login string, change func(*User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.user(login)
	if u == nil {
		panic(fmt.Sprintf("dronetest: update user %q: no such user", login))
	}
	delete(s.world.byToken, u.Token)
	change(u)
	s.world.byToken[u.Token] = u
}

// Users gives all users, sorted by login as /api/users does.
func (s *Server) Users() []User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]User, len(s.world.users))
	for i, u := range s.world.users {
		list[i] = *u
	}
	slices.SortFunc(list, func(a, b User) int { return strings.Compare(a.Login, b.Login) })
	return list
}

// GrantRead lets a user who is no admin read a private repository.
func (s *Server) GrantRead(login, slug string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, rp := s.world.user(login), s.world.bySlug[slug]
	if u == nil || rp == nil {
		panic(fmt.Sprintf("dronetest: grant %q to %q: no such user or repository", slug, login))
	}
	s.world.perms[perm{u.ID, rp.UID}] = true
}

// AddRepo adds a repository and gives the whole row. Slug is required, everything before its last
// slash is the namespace; Active is false unless said; Visibility is private and Branch main unless
// said. A namespace with a slash makes a repository that is listed and can not be asked about.
func (s *Server) AddRepo(r Repo) Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.addRepo(r, s.unix()).Repo
}

func (w *world) addRepo(r Repo, now int64) *repo {
	if w.bySlug[r.Slug] != nil {
		panic(fmt.Sprintf("dronetest: add repository %q: the slug is taken", r.Slug))
	}
	r.ID = next(&w.lastRepo, r.ID)
	r.UID = cmp.Or(r.UID, "uid-"+strconv.FormatInt(r.ID, 10))
	r.UserID = cmp.Or(r.UserID, 1)
	r.Visibility = cmp.Or(r.Visibility, Private)
	r.Private = r.Visibility != Public
	r.Branch = cmp.Or(r.Branch, "main")
	r.Config = cmp.Or(r.Config, ".drone.yml")
	r.Timeout = cmp.Or(r.Timeout, 60)
	r.Version = cmp.Or(r.Version, 1)
	for _, t := range []*int64{&r.Synced, &r.Created, &r.Updated} {
		*t = cmp.Or(*t, now)
	}
	rp := &repo{Repo: r}
	rp.name(r.Slug)
	w.repos = append(w.repos, rp)
	w.bySlug[r.Slug], w.byID[r.ID] = rp, rp
	return rp
}

// name gives the repository its slug and what follows from it.
func (rp *repo) name(slug string) {
	cut := strings.LastIndexByte(slug, '/')
	if cut < 1 || cut == len(slug)-1 {
		panic(fmt.Sprintf("dronetest: repository %q: want a slug of the form namespace/name", slug))
	}
	rp.Slug, rp.Namespace, rp.Name = slug, slug[:cut], slug[cut+1:]
	rp.Link = "https://git.example.com/" + slug
	rp.HTTPURL = rp.Link + ".git"
	rp.SSHURL = "git@git.example.com:" + slug + ".git"
	rp.encoded = nil
}

// touch marks a change of the repository's row, as Drone's optimistic lock does.
func (rp *repo) touch() {
	rp.Version++
	rp.encoded = nil
}

// RenameRepo gives the repository another slug; its id, uid and builds stay.
func (s *Server) RenameRepo(slug, to string) {
	s.withRepo("rename", slug, func(rp *repo) {
		if s.world.bySlug[to] != nil {
			panic(fmt.Sprintf("dronetest: rename repository %q: %q is taken", slug, to))
		}
		delete(s.world.bySlug, slug)
		rp.name(to)
		rp.touch()
		s.world.bySlug[to] = rp
	})
}

// UpdateRepo changes a repository's row in place. What its id, its name and its builds depend on
// is not to be changed that way.
func (s *Server) UpdateRepo(slug string, change func(*Repo)) {
	s.withRepo("update", slug, func(rp *repo) {
		change(&rp.Repo)
		rp.touch()
	})
}

// SetRepoActive enables or disables a repository; its builds stay either way.
func (s *Server) SetRepoActive(slug string, active bool) {
	s.UpdateRepo(slug, func(r *Repo) { r.Active = active })
}

// DeleteRepo deletes the row of a repository. As in Drone its builds stay behind: /metrics and
// /api/system/stats go on counting them, /api/queue lists their open stages, and nothing else
// leads to them.
func (s *Server) DeleteRepo(slug string) {
	s.withRepo("delete", slug, func(rp *repo) {
		w := &s.world
		w.repos = slices.DeleteFunc(w.repos, func(r *repo) bool { return r == rp })
		delete(w.bySlug, slug)
		delete(w.byID, rp.ID)
		w.orphans = append(w.orphans, rp)
	})
}

// Repos gives the rows of all repositories in the order of their ids.
func (s *Server) Repos() []Repo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Repo, len(s.world.repos))
	for i, rp := range s.world.repos {
		list[i] = rp.Repo
	}
	return list
}

// withRepo runs do on a repository with the lock held.
func (s *Server) withRepo(what, slug string, do func(*repo)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rp := s.world.bySlug[slug]
	if rp == nil {
		panic(fmt.Sprintf("dronetest: %s repository %q: no such repository", what, slug))
	}
	do(rp)
}
