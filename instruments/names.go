package instruments

import (
	"slices"
	"sync"
)

// How many platforms are told apart, and how many stages and steps of one repository. All of these are free
// text, and may be made by a program anew for every build.
const (
	maxPlatforms = 50
	maxStages    = 100
	maxSteps     = 500
)

// partNames remembers which stages and steps have series of their own; the rest is named Other. The number of
// repositories is for whoever names them in FinishedBuild.Repository to bound.
type partNames struct {
	mu            sync.Mutex
	platforms     map[partName]struct{}
	stages, steps map[string]map[partName]struct{} // by repository
}

// partName is what tells the series of a repository apart; what does not matter to one is empty.
type partName struct{ stage, os, arch, step string }

func newPartNames() *partNames {
	return &partNames{
		platforms: map[partName]struct{}{},
		stages:    map[string]map[partName]struct{}{}, steps: map[string]map[partName]struct{}{},
	}
}

// bound gives the stages of a build, with the names their series go under.
func (n *partNames) bound(b *FinishedBuild) []FinishedStage {
	n.mu.Lock()
	defer n.mu.Unlock()
	stages := make([]FinishedStage, len(b.Stages))
	for i, stage := range b.Stages {
		if !room(n.platforms, partName{os: stage.OS, arch: stage.Arch}, maxPlatforms) {
			stage.OS, stage.Arch = Other, Other
		}
		name := partName{stage: stage.Name, os: stage.OS, arch: stage.Arch}
		if !ofRepository(n.stages, b.Repository, name, maxStages) {
			stage.Name = Other
		}
		stage.Steps = slices.Clone(stage.Steps)
		for k := range stage.Steps {
			name := partName{stage: stage.Name, step: stage.Steps[k].Name}
			if stage.Name == Other || !ofRepository(n.steps, b.Repository, name, maxSteps) {
				stage.Steps[k].Name = Other
			}
		}
		stages[i] = stage
	}
	return stages
}

// ofRepository tells whether a part of a repository has series of its own. The parts of the repositories that
// are folded have none: they would be those of all of them.
func ofRepository(known map[string]map[partName]struct{}, repository string, name partName, limit int) bool {
	if repository == Other {
		return false
	}
	if known[repository] == nil {
		known[repository] = map[partName]struct{}{}
	}
	return room(known[repository], name, limit)
}

// room tells whether a name is among those known, and adds it where there is room.
func room(known map[partName]struct{}, name partName, limit int) bool {
	if _, there := known[name]; there {
		return true
	}
	if len(known) >= limit {
		return false
	}
	known[name] = struct{}{}
	return true
}
