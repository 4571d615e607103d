package agent

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What others may do with a file or a folder, as bits of its mode.
const (
	othersRead  fs.FileMode = 0o004
	othersWrite fs.FileMode = 0o022 // the group too: whoever may write can put something else there
	anyOther    fs.FileMode = 0o077
)

// private is a file or a folder that others have no business with.
type private struct {
	// what it is, for messages.
	what, path string
	// wrong are the bits that its mode should not have.
	wrong fs.FileMode
	// state is of the state, which may be on a volume that a platform provides.
	state bool
}

// openToOthers is a finding: a mode that lets others in.
type openToOthers struct {
	private

	mode fs.FileMode
	// foreign is that the agent has access to it only as everyone has.
	foreign bool
}

func (o openToOthers) String() string {
	return fmt.Sprintf("%s %s has mode %#o and %s: %s", o.what, o.path, o.mode, o.harm(), o.cure())
}

// harm says what the mode allows.
func (o openToOthers) harm() string {
	can := func(bits fs.FileMode, verb string) string {
		switch wrong := o.mode & o.wrong & bits; {
		case wrong&0o007 != 0:
			return "can be " + verb + " by everyone"
		case wrong != 0:
			return "can be " + verb + " by its group"
		}
		return ""
	}
	var out []string
	for _, text := range []string{can(0o055, "read"), can(0o022, "written")} {
		if text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, " and ")
}

// cure takes away the bits that are too many and no others: the agent may have its own access by the group.
func (o openToOthers) cure() string {
	var parts []string
	for _, who := range []struct {
		name  string
		shift int
	}{{"g", 3}, {"o", 0}} {
		bits, takes := o.mode&o.wrong>>who.shift&7, ""
		for _, bit := range []struct {
			bit  fs.FileMode
			name string
		}{{4, "r"}, {2, "w"}, {1, "x"}} {
			if bits&bit.bit != 0 {
				takes += bit.name
			}
		}
		if takes != "" {
			parts = append(parts, who.name+"-"+takes)
		}
	}
	cure := "chmod " + strings.Join(parts, ",") + " " + o.path
	if o.foreign {
		return "make the agent's user its owner, and " + cure
	}
	return cure
}

// permissions looks at every file that holds a secret and at the state, and returns those that others have access to.
// What cannot be looked at is no finding: whoever needs it says so.
func (c *Config) permissions() []openToOthers {
	var found []openToOthers
	all := slices.Clone(c.private)
	if c.statePath != "" {
		all = append(all,
			private{what: "the state folder", path: c.statePath, wrong: anyOther, state: true},
			private{what: "the state file", path: filepath.Join(c.statePath, stateFile), wrong: anyOther, state: true})
	}
	for _, one := range all {
		if finding, is := one.look(); is {
			found = append(found, finding)
		}
	}
	return found
}

// look finds out who has access. A link's own mode means nothing, nor does that of a file in a folder that others
// cannot enter, nor where something else decides (modesMatter).
func (p private) look() (openToOthers, bool) {
	target, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return openToOthers{}, false
	}
	if target, err = filepath.Abs(target); err != nil {
		return openToOthers{}, false
	}
	info, err := os.Stat(target)
	if err != nil || !modesMatter(target, info, p.state) {
		return openToOthers{}, false
	}
	for folder := filepath.Dir(target); ; folder = filepath.Dir(folder) {
		around, err := os.Stat(folder)
		if err != nil {
			return openToOthers{}, false
		}
		if around.Mode().Perm()&0o001 == 0 {
			p.wrong &^= 0o007
		}
		if around.Mode().Perm()&0o011 == 0 {
			p.wrong &^= 0o070
		}
		if folder == filepath.Dir(folder) {
			break
		}
	}
	mode := info.Mode().Perm()
	return openToOthers{p, mode, foreign(info)}, mode&p.wrong != 0
}

// privateFiles are the files of a configuration that hold a secret: the one at name itself, where a secret is written
// in it and does not come from the environment, and those that it names.
func privateFiles(name string, own *yaml.Node, f *file) []private {
	var out []private
	add := func(what, path string) {
		if path != "" {
			out = append(out, private{what: what, path: path, wrong: othersRead | othersWrite})
		}
	}
	if holdsSecret(own) {
		add("the configuration, which holds a secret,", name)
	}
	add("the token file", f.Drone.TokenFile)
	add("the token file", f.Prometheus.Auth.TokenFile)
	add("the private key", f.Drone.TLS.KeyFile)
	add("the private key", f.OTLP.TLS.KeyFile)
	return out
}

// holdsSecret tells whether a secret is written in a configuration.
func holdsSecret(root *yaml.Node) bool {
	at := func(keys ...string) *yaml.Node {
		n := root
		for _, key := range keys {
			i := find(n, key)
			if i < 0 {
				return &yaml.Node{}
			}
			n = deref(n.Content[i+1])
		}
		return n
	}
	values := []*yaml.Node{at("drone", "token"), at("prometheus", "auth", "token")}
	for i, n := range at("otlp", "headers").Content {
		if i%2 == 1 {
			values = append(values, deref(n))
		}
	}
	for _, n := range values {
		// With every variable empty what is written here remains, defaults too.
		text, err := expand(n.Value, func(string) (string, bool) { return "", true })
		text = strings.ToLower(strings.TrimSpace(text))
		scheme := text == "bearer" || text == "basic" // of an Authorization header whose rest is a variable
		if err == nil && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && text != "" && !scheme {
			return true
		}
	}
	return false
}

// warnOpen logs every finding.
func warnOpen(cfg *Config, log *slog.Logger) {
	for _, one := range cfg.permissions() {
		log.Warn(one.what+" "+one.harm(), "path", one.path, "mode", fmt.Sprintf("%#o", one.mode), "cure", one.cure())
	}
}
