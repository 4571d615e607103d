package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const word = "fe8c402a51e6629aa1f43a4234afee81"

// Holder has the secret in every place that a printer may look at.
type Holder struct {
	Name     string
	Token    secret.Text
	token    secret.Text
	Pointer  *secret.Text
	pointer  *secret.Text
	List     []secret.Text
	Pair     [2]secret.Text
	Map      map[string]secret.Text
	Any      any
	Nested   struct{ Token secret.Text }
	nested   *struct{ token secret.Text }
	Source   secret.Source
	source   secret.Source
	File     *secret.File
	Function func() secret.Text `json:"-" yaml:"-" xml:"-"`
}

func newHolder(t *testing.T) Holder {
	t.Helper()
	text, file := secret.New(word), secret.NewFile(write(t, word))
	if _, err := file.Get(); err != nil {
		t.Fatal(err)
	}
	out := Holder{
		Name: "holder", Token: text, token: text, Pointer: &text, pointer: &text, List: []secret.Text{text},
		Pair: [2]secret.Text{text, text}, Map: map[string]secret.Text{"token": text}, Any: text,
		Source: secret.Static(text), source: file, File: file, Function: func() secret.Text { return text },
	}
	out.Nested.Token = text
	out.nested = &struct{ token secret.Text }{text}
	return out
}

// forms are the notations that a printer may choose for the secret, and either end of it.
var forms = func() []string {
	numbers := strings.Trim(fmt.Sprintf("%d", []byte(word)), "[]")
	return []string{
		word, strings.ToUpper(word), hex.EncodeToString([]byte(word)), strings.ToUpper(hex.EncodeToString([]byte(word))),
		base64.StdEncoding.EncodeToString([]byte(word)), numbers, strings.ReplaceAll(numbers, " ", ", "),
		fmt.Sprintf("% x", word), fmt.Sprintf("%# x", word), word[:8], word[24:],
	}
}()

func wantNone(t *testing.T, how, out string) {
	t.Helper()
	for _, form := range forms {
		if strings.Contains(out, form) {
			t.Errorf("%s shows the secret: %s", how, out)
			return
		}
	}
}

func TestNoVerbShows(t *testing.T) {
	holder := newHolder(t)
	text := holder.Token
	for _, value := range []any{
		text, &text, holder, &holder, []any{text, holder}, map[string]any{"x": holder}, holder.List, holder.Map,
		holder.Source, holder.File, struct{ secret.Text }{text}, struct{ a any }{text}, struct{ a any }{holder},
		[1]*Holder{&holder},
		holder.Pointer, errors.Join(fmt.Errorf("with %v", text)), text.Reveal, func() Holder { return holder },
	} {
		for verb := '!'; verb <= '~'; verb++ {
			for _, flags := range []string{"", "+", "#", " ", "0", "-", "+#", "# ", "99", ".99", "-99.3"} {
				format := "%" + flags + string(verb)
				wantNone(t, fmt.Sprintf("%s of %T", format, value), fmt.Sprintf(format, value))
			}
		}
		wantNone(t, "Sprint", fmt.Sprint(value)+fmt.Sprintln(value))
		wantNone(t, "Errorf", fmt.Errorf("failed with %v", value).Error())
	}
	for _, format := range []string{"%v", "%s", "%d", "%x", "%q", "%#v", "%+v"} {
		if got := fmt.Sprintf(format, text); got != "[redacted]" {
			t.Errorf("%s gives %s", format, got)
		}
	}
}

func TestNoLoggerShows(t *testing.T) {
	holder := newHolder(t)
	var out bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, handler := range map[string]slog.Handler{
		"text": slog.NewTextHandler(&out, options), "JSON": slog.NewJSONHandler(&out, options),
	} {
		logger := slog.New(handler).With("token", holder.Token).WithGroup("group").With("holder", holder)
		logger.Debug("x", "token", holder.Token, "pointer", holder.Pointer, "holder", holder, "at", &holder,
			"list", holder.List, "map", holder.Map, "source", holder.Source, "file", holder.File,
			slog.Group("g", "token", holder.Token),
			"error", fmt.Errorf("with %v", holder.Token), "any", []any{holder.Token, &holder})
		logger.Info(fmt.Sprint(holder))
		slog.NewLogLogger(handler, slog.LevelInfo).Println(holder, &holder, holder.Token)
		if !strings.Contains(out.String(), "[redacted]") {
			t.Errorf("%s: nothing was logged: %s", name, out.String())
		}
		wantNone(t, name, out.String())
		out.Reset()
	}
	log.New(&out, "", 0).Println(holder, &holder, holder.Token)
	wantNone(t, "log", out.String())
}

func TestNoEncoderShows(t *testing.T) {
	holder := newHolder(t)
	for _, value := range []any{holder, &holder, holder.Token, holder.List, holder.Map, holder.Source, holder.File} {
		for name, encode := range map[string]func(any) ([]byte, error){
			"JSON": json.Marshal, "YAML": yaml.Marshal, "XML": xml.Marshal,
			"indented JSON": func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") },
			"gob": func(v any) ([]byte, error) {
				var out bytes.Buffer
				err := gob.NewEncoder(&out).Encode(v)
				return out.Bytes(), err
			},
			"template": func(v any) ([]byte, error) {
				var out bytes.Buffer
				err := template.Must(template.New("").Parse("{{.}} {{printf `%#v` .}}")).Execute(&out, v)
				return out.Bytes(), err
			},
		} {
			out, err := encode(value)
			wantNone(t, name, string(out)+fmt.Sprint(err))
			if name == "JSON" && err != nil {
				t.Errorf("JSON of %T: %v", value, err)
			}
		}
	}
	out, err := json.Marshal(map[string]any{"a": holder.Token, "b": holder.Pointer})
	if want := `{"a":"[redacted]","b":"[redacted]"}`; string(out) != want || err != nil {
		t.Errorf("JSON %s, %v, want %s", out, err, want)
	}
	out, err = yaml.Marshal(map[string]any{"a": holder.Token})
	if want := "a: '[redacted]'\n"; string(out) != want || err != nil {
		t.Errorf("YAML %s, %v, want %s", out, err, want)
	}
}

func TestPanicDoesNotShow(t *testing.T) {
	defer func() { wantNone(t, "panic", fmt.Sprint(recover())) }()
	panic(newHolder(t))
}

func TestText(t *testing.T) {
	var none secret.Text
	text := secret.New(word)
	if none.Reveal() != "" || !none.Empty() || text.Reveal() != word || text.Empty() || !secret.New("").Empty() {
		t.Errorf("revealed %q and %q", none.Reveal(), text.Reveal())
	}
	if fmt.Sprint(none) != "[redacted]" || none.String() != text.String() {
		t.Error("one sees whether there is a secret")
	}
	for _, tt := range []struct {
		a, b secret.Text
		want bool
	}{
		{text, text, true}, {text, secret.New(word), true}, {none, secret.New(""), true}, {none, none, true},
		{text, none, false}, {text, secret.New(word + "x"), false}, {text, secret.New(word[1:]), false},
	} {
		if tt.a.Equal(tt.b) != tt.want || tt.b.Equal(tt.a) != tt.want || (tt.a.Digest() == tt.b.Digest()) != tt.want {
			t.Errorf("%q and %q: want equal %v", tt.a.Reveal(), tt.b.Reveal(), tt.want)
		}
	}
	digest := secret.New("abc").Digest()
	if got, want := hex.EncodeToString(digest[:4]), "ba7816bf"; got != want {
		t.Errorf("digest %s…, want %s…", got, want)
	}
	if got, err := secret.Static(text).Get(); got.Reveal() != word || err != nil {
		t.Errorf("static source: %q, %v", got.Reveal(), err)
	}
}
