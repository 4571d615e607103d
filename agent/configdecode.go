package agent

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/internal/secret"
)

// decode fills out, a pointer to a struct, from the tree, strictly: an unknown key and a wrong type are
// problems, each at its line, and the rest is decoded all the same. References to the environment are
// replaced in values.
func (t *tree) decode(out any, lookup func(string) (string, bool)) {
	d := decoder{tree: t, lookup: lookup}
	d.mapping(t.root, reflect.ValueOf(out).Elem(), "")
}

type decoder struct {
	*tree
	lookup func(string) (string, bool)
}

func (d decoder) mapping(n *yaml.Node, out reflect.Value, field string) {
	if n.Kind != yaml.MappingNode {
		d.unreadable(n, field, "a mapping belongs here, with %s", keys(out.Type()))
		return
	}
	byKey := map[string]reflect.Value{}
	for i := range out.NumField() {
		byKey[out.Type().Field(i).Tag.Get("yaml")] = out.Field(i)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], deref(n.Content[i+1])
		name := join(field, key.Value)
		if to, known := byKey[key.Value]; known {
			d.value(value, to, name)
		} else {
			d.problem(key, name, "unknown key; known here are %s", keys(out.Type()))
		}
	}
}

// keys lists the keys of a struct, for messages.
func keys(of reflect.Type) string {
	var out []string
	for i := range of.NumField() {
		out = append(out, of.Field(i).Tag.Get("yaml"))
	}
	return strings.Join(out, ", ")
}

func (d decoder) value(n *yaml.Node, out reflect.Value, field string) {
	switch to := out.Addr().Interface().(type) {
	case *[]string:
		d.list(n, to, field)
	case *[]float64:
		d.numbers(n, to, field)
	case *map[string]secret.Text:
		d.secrets(n, to, field)
	default:
		if out.Kind() == reflect.Struct && out.Type() != reflect.TypeFor[secret.Text]() {
			d.mapping(n, out, field)
			return
		}
		if text, ok := d.scalar(n, field); ok {
			d.parse(n, text, to, field)
		}
	}
}

// parse reads the text of a scalar as the type that belongs there.
func (d decoder) parse(n *yaml.Node, text string, out any, field string) {
	var err error
	switch to := out.(type) {
	case *string:
		*to = text
	case *secret.Text:
		*to = secret.New(text)
	case *bool:
		if text != "true" && text != "false" {
			d.unreadable(n, field, "true or false belongs here, not %.40q", text)
		}
		*to = text == "true"
	case *int:
		if *to, err = strconv.Atoi(text); err != nil {
			d.unreadable(n, field, "a whole number belongs here, not %.40q", text)
		}
	case *float64:
		if *to, err = strconv.ParseFloat(text, 64); err != nil {
			d.unreadable(n, field, "a number belongs here, not %.40q", text)
		}
	case *time.Duration:
		if text == "" {
			*to = 0
			return
		}
		parsed, err := model.ParseDuration(text)
		if err != nil {
			d.unreadable(n, field, "a duration belongs here, as 15s, 5m or 1h30m, not %.40q", text)
		}
		*to = time.Duration(parsed)
	}
}

// scalar returns the text of a scalar with the environment's values in place.
func (d decoder) scalar(n *yaml.Node, field string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.unreadable(n, field, "a single value belongs here")
		return "", false
	}
	if n.ShortTag() == "!!null" {
		return "", true
	}
	text, err := expand(n.Value, d.lookup)
	if err != nil {
		advice := ""
		var unset unsetError
		switch {
		case !errors.As(err, &unset):
		case d.files[n] == builtIn:
			advice = ": set it, or give " + field + " in a file"
		default:
			advice = ": set it, or write the value here"
		}
		d.unreadable(n, field, "%v%s", err, advice)
		return "", false
	}
	return text, true
}

func (d decoder) list(n *yaml.Node, out *[]string, field string) {
	*out = nil
	d.elements(n, field, "[one, two]", func(_ *yaml.Node, text, _ string) { *out = append(*out, text) })
}

func (d decoder) numbers(n *yaml.Node, out *[]float64, field string) {
	*out = nil
	d.elements(n, field, "[1, 2.5]", func(element *yaml.Node, text, name string) {
		var number float64
		d.parse(element, text, &number, name)
		*out = append(*out, number)
	})
}

// elements calls take with each element of a list, its text and its name.
func (d decoder) elements(n *yaml.Node, field, example string, take func(element *yaml.Node, text, name string)) {
	if n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.unreadable(n, field, "a list belongs here: %s", example)
		return
	}
	for i, element := range n.Content {
		element, name := deref(element), field+"["+strconv.Itoa(i)+"]"
		if text, ok := d.scalar(element, name); ok {
			take(element, text, name)
		}
	}
}

func (d decoder) secrets(n *yaml.Node, out *map[string]secret.Text, field string) {
	*out = nil
	if n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.unreadable(n, field, "a mapping of name: value belongs here")
		return
	}
	*out = map[string]secret.Text{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name := join(field, key.Value)
		if _, twice := (*out)[key.Value]; twice {
			d.problem(key, name, "the key is given twice")
			continue
		}
		text, _ := d.scalar(deref(n.Content[i+1]), name)
		(*out)[key.Value] = secret.New(text)
	}
}
