package agent

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/internal/certtest"
)

// home is a folder that others can enter, as those of tests cannot.
func home(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing here")
	}
	folder := t.TempDir()
	for _, one := range []string{folder, filepath.Dir(folder)} {
		if err := os.Chmod(one, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// lay writes a file with a mode, whatever the umask says.
func lay(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// loose loads the configuration at config.yaml in a folder and returns what is found, with the folder's name cut out.
func loose(t *testing.T, folder string) []string {
	t.Helper()
	cfg, err := LoadConfig(filepath.Join(folder, "config.yaml"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, one := range cfg.permissions() {
		found = append(found, strings.ReplaceAll(one.String(), folder+"/", ""))
	}
	return found
}

// TestConfigurationWithASecret is about the configuration itself: only where a secret stands in it others may not
// read it.
func TestConfigurationWithASecret(t *testing.T) {
	const own = "drone: {token: " + testToken + "}\n"
	finding := func(mode, harm, cure string) []string {
		return []string{fmt.Sprintf("the configuration, which holds a secret, config.yaml has mode %s and can be %s: "+
			"chmod %s config.yaml", mode, harm, cure)}
	}
	everyone := finding("0644", "read by everyone", "o-r")
	for _, tt := range []struct {
		name, text string
		mode       fs.FileMode
		want       []string
	}{
		{"a token", own, 0o644, everyone},
		{"a token, quoted, under an anchor", "drone: {token: &t '" + testToken + "'}\n", 0o644, everyone},
		{"a token, to be written by its group", own, 0o660, finding("0660", "written by its group", "g-w")},
		{"a token, free for all", own, 0o777,
			finding("0777", "read by everyone and can be written by everyone", "g-w,o-rw")},
		{"a token, for the group to read", own, 0o640, nil},
		{"a token, for nobody else", own, 0o600, nil},
		{"a token of the environment", "drone: {token: '${DRONE_TOKEN}'}\n", 0o644, nil},
		{"a token of the environment, or else this one", "drone: {token: '${NO_SUCH:-" + testToken + "}'}\n", 0o644,
			everyone},
		{"no token", "poll: {interval: 20s}\n", 0o666, nil},
		{"an empty one", "drone: {token_file: token}\nprometheus: {auth: {token: ''}}\n", 0o644, nil},
		{"the guard's", "prometheus: {auth: {mode: token, token: s3cret}}\n", 0o644, everyone},
		{"the guard's digest", "prometheus: {auth: {mode: token, token_sha256: [" + strings.Repeat("ab", 32) + "]}}\n",
			0o644, nil},
		{"a header", "otlp: {headers: {a: '${DRONE_TOKEN}', authorization: Bearer x}}\n", 0o644, everyone},
		{"a header of the environment", "otlp: {headers: {authorization: '${DRONE_TOKEN}'}}\n", 0o644, nil},
		{"nothing but its scheme", "otlp: {headers: {authorization: 'Bearer ${DRONE_TOKEN}'}}\n", 0o644, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prepare(t, "")
			folder := home(t)
			t.Chdir(folder)
			lay(t, "token", testToken, 0o600)
			lay(t, filepath.Join(folder, "config.yaml"), tt.text, tt.mode)
			if diff := cmp.Diff(tt.want, loose(t, folder)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFilesOfOthers is about what the configuration names.
func TestFilesOfOthers(t *testing.T) {
	chmod := func(t *testing.T, path string, mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, folder string)
		want   []string
	}{
		{"as it should be", func(*testing.T, string) {}, nil},
		{"to be read by everyone", func(t *testing.T, folder string) {
			for _, name := range []string{"token", "scrape.token", "drone.key", "otlp.key"} {
				chmod(t, filepath.Join(folder, name), 0o644)
			}
		}, []string{
			"the token file token has mode 0644 and can be read by everyone: chmod o-r token",
			"the token file scrape.token has mode 0644 and can be read by everyone: chmod o-r scrape.token",
			"the private key drone.key has mode 0644 and can be read by everyone: chmod o-r drone.key",
			"the private key otlp.key has mode 0644 and can be read by everyone: chmod o-r otlp.key",
		}},
		{"to be read by the group", func(t *testing.T, folder string) { chmod(t, folder+"/token", 0o440) }, nil},
		{"to be written by the group", func(t *testing.T, folder string) { chmod(t, folder+"/token", 0o660) },
			[]string{"the token file token has mode 0660 and can be written by its group: chmod g-w token"}},
		{"behind a link", func(t *testing.T, folder string) {
			lay(t, folder+"/target", testToken, 0o604)
			if err := os.Remove(folder + "/token"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("target", folder+"/token"); err != nil {
				t.Fatal(err)
			}
		}, []string{"the token file token has mode 0604 and can be read by everyone: chmod o-r token"}},
		{"in a folder of our own", func(t *testing.T, folder string) {
			chmod(t, folder+"/token", 0o666)
			chmod(t, folder, 0o700)
		}, nil},
		{"in a folder of our group", func(t *testing.T, folder string) {
			chmod(t, folder+"/token", 0o666)
			chmod(t, folder, 0o750)
		}, []string{"the token file token has mode 0666 and can be written by its group: chmod g-w token"}},
		{"in a folder to be entered but not read", func(t *testing.T, folder string) {
			chmod(t, folder+"/token", 0o644)
			chmod(t, folder, 0o711)
		}, []string{"the token file token has mode 0644 and can be read by everyone: chmod o-r token"}},
		{"the state to be entered by everyone", func(t *testing.T, folder string) { chmod(t, folder+"/state", 0o755) },
			[]string{"the state folder state has mode 0755 and can be read by everyone: chmod g-rx,o-rx state"}},
		{"the state in a folder for everyone", func(t *testing.T, folder string) {
			chmod(t, folder+"/state", 0o770)
			chmod(t, folder+"/state/builds.db", 0o640)
		}, []string{
			"the state folder state has mode 0770 and can be read by its group and can be written by its group: " +
				"chmod g-rwx state",
			"the state file state/builds.db has mode 0640 and can be read by its group: chmod g-r state/builds.db",
		}},
		{"the state in a folder of our own", func(t *testing.T, folder string) {
			chmod(t, folder+"/state/builds.db", 0o666)
		}, nil},
		{"nothing there yet", func(t *testing.T, folder string) {
			if err := os.RemoveAll(folder + "/state"); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prepare(t, "")
			folder := household(t)
			tt.change(t, folder)
			if diff := cmp.Diff(tt.want, loose(t, folder)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// household is a folder with everything that a configuration may name, none of it open to others.
func household(t *testing.T) string {
	t.Helper()
	folder := home(t)
	pair := certtest.NewAuthority(t).Issue(t, certtest.Leaf{Name: "agent"})
	for _, name := range []string{"drone", "otlp"} {
		lay(t, folder+"/"+name+".pem", string(pair.Cert), 0o644)
		lay(t, folder+"/"+name+".key", string(pair.Key), 0o600)
	}
	lay(t, folder+"/token", testToken, 0o600)
	lay(t, folder+"/scrape.token", testToken, 0o600)
	if err := os.Mkdir(folder+"/state", 0o700); err != nil {
		t.Fatal(err)
	}
	lay(t, folder+"/state/builds.db", "", 0o600)
	lay(t, folder+"/config.yaml", strings.ReplaceAll(`
drone: {token_file: HERE/token, tls: {cert_file: HERE/drone.pem, key_file: HERE/drone.key}}
prometheus: {auth: {mode: token, token_file: HERE/scrape.token}}
otlp: {endpoint: "https://localhost", tls: {cert_file: HERE/otlp.pem, key_file: HERE/otlp.key}}
state: {path: HERE/state}
`, "HERE", folder), 0o644)
	return folder
}

// TestFindingsAreTold looks at the log of the start, and at what check prints, for one of them.
func TestFindingsAreTold(t *testing.T) {
	prepare(t, "")
	folder := home(t)
	config, token := folder+"/config.yaml", folder+"/token"
	lay(t, token, testToken, 0o644)
	lay(t, config, "drone: {token_file: "+token+"}\n", 0o644)
	cfg, err := LoadConfig(config, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	var log, out bytes.Buffer
	warnOpen(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	want := fmt.Sprintf(`level=WARN msg="the token file can be read by everyone" path=%s mode=0644 cure="chmod o-r %s"`,
		token, token)
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
		t.Errorf("the log is %s, want %s", log.String(), want)
	}
	CheckOffline(Options{Config: cfg}, &out)
	if want := "note  permissions  the token file " + token + " has mode 0644 and"; !strings.Contains(out.String(), want) {
		t.Errorf("check --offline prints %s", out.String())
	}
}

// TestCureOfAForeignFile does not lock the agent out of what it can read as everyone only.
func TestCureOfAForeignFile(t *testing.T) {
	finding := openToOthers{private: private{what: "the token file", path: "/x", wrong: 0o026}, mode: 0o644, foreign: true}
	if got, want := finding.cure(), "make the agent's user its owner, and chmod o-r /x"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
