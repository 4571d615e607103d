package agent

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// expand replaces ${NAME} and ${NAME:-default} in a value; a default may hold such references too. $${ is ${
// itself. The error says what is wrong with the reference, never what it stands for.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if at > 0 && text[at-1] == '$' {
			out.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		out.WriteString(text[:at])
		end := closing(text[at:])
		if end < 0 {
			return "", errors.New("${ without its }; write $${ for the characters themselves")
		}
		value, err := reference(text[at+2:at+end], lookup)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = text[at+end+1:]
	}
}

// closing returns the index of the } that belongs to the ${ at the beginning of text, -1 where there is none.
func closing(text string) int {
	depth := 0
	for i := range len(text) {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func reference(inside string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, optional := strings.Cut(inside, ":-")
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
		return "", errors.New("${…} does not name an environment variable; write ${NAME} or ${NAME:-default}")
	}
	value, set := lookup(name)
	switch {
	case optional && value == "":
		return expand(fallback, lookup)
	case !set:
		return "", unsetError(name)
	}
	return value, nil
}

// unsetError is the name of an environment variable that is not set.
type unsetError string

func (e unsetError) Error() string {
	return fmt.Sprintf("the environment variable %s is not set", string(e))
}
