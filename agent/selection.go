package agent

import (
	"path"
	"sort"

	"drone-otel-agent/instruments"
)

// selectionConfig says which repositories get series of their own: metrics.repositories.
type selectionConfig struct {
	Include, Exclude []string
	Limit            int
}

// selection decides which repositories have series of their own; the others are told as instruments.Other.
// A repository that has them keeps them, under its slug of that time, as long as the agent runs.
type selection struct {
	cfg   selectionConfig
	names map[int64]string
}

func newSelection(cfg selectionConfig) *selection {
	return &selection{cfg: cfg, names: map[int64]string{}}
}

// admit gives names to the repositories that have none, the most recently active ones first, while there is
// room.
func (s *selection) admit(repos map[int64]*repository) {
	if len(s.names) >= s.cfg.Limit {
		return
	}
	held := map[string]bool{}
	for id, name := range s.names {
		if _, here := repos[id]; here {
			held[name] = true
		}
	}
	var waiting []*repository
	for id, r := range repos {
		// A name that another one was known by before it was renamed stays with that one.
		if _, has := s.names[id]; !has && r.Active && !held[r.Slug] && s.matches(r.Slug) {
			waiting = append(waiting, r)
		}
	}
	sort.Slice(waiting, func(i, j int) bool {
		a, b := waiting[i], waiting[j]
		switch {
		case !a.newest.Equal(b.newest):
			return a.newest.After(b.newest)
		case a.Counter != b.Counter:
			return a.Counter > b.Counter
		}
		return a.ID < b.ID
	})
	for _, r := range waiting[:min(len(waiting), s.cfg.Limit-len(s.names))] {
		s.names[r.ID] = r.Slug
	}
}

func (s *selection) matches(slug string) bool {
	return anyMatch(s.cfg.Include, slug) && !anyMatch(s.cfg.Exclude, slug)
}

// anyMatch matches globs over owner/name, in which a * alone stands for everything.
func anyMatch(globs []string, slug string) bool {
	for _, glob := range globs {
		if matched, err := path.Match(glob, slug); glob == "*" || err == nil && matched {
			return true
		}
	}
	return false
}

// name is the name that a repository's series go under.
func (s *selection) name(r *repository) string {
	if name, has := s.names[r.ID]; has {
		return name
	}
	return instruments.Other
}
