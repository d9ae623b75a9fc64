// Package settings reads the settings of a server command: each is a flag, an
// environment variable, or a file that the variable with _FILE at its end
// names, such as a mounted Secret. It must not know what they mean.
package settings

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Setting is one of them: the flag --redis-url, the variable WILDOUT_REDIS_URL,
// the file that WILDOUT_REDIS_URL_FILE names, or else Default.
type Setting struct {
	Flag, Default, Usage string
	// Set takes the value, and says what is wrong with it.
	Set func(value string) error
}

// Variable is the name of the environment variable.
func (s *Setting) Variable() string {
	return "WILDOUT_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// AddFlags adds the flags to a command.
func AddFlags(flags *pflag.FlagSet, all []Setting) {
	for _, s := range all {
		flags.String(s.Flag, s.Default, s.Usage+" ($"+s.Variable()+")")
		if s.Default == "false" {
			flags.Lookup(s.Flag).NoOptDefVal = "true" // --strict is enough
		}
	}
}

// Read sets all settings from the flags that were given, and the environment
// as os.Environ gives it. The error has every fault.
func Read(flags *pflag.FlagSet, environ []string, all []Setting) error {
	env := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	var errs []error
	for _, s := range all {
		value, err := s.value(flags, env)
		if err == nil {
			err = s.Set(value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s (%s): %w", s.Flag, s.Variable(), err))
		}
	}
	return errors.Join(errs...)
}

func (s *Setting) value(flags *pflag.FlagSet, env map[string]string) (string, error) {
	if f := flags.Lookup(s.Flag); f != nil && f.Changed {
		return f.Value.String(), nil
	}
	name := s.Variable()
	if value := env[name]; value != "" {
		return value, nil
	}
	if path := env[name+"_FILE"]; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("%s_FILE: %w", name, err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	return s.Default, nil
}

// Text takes any text.
func Text(into *string) func(string) error {
	return func(v string) error { *into = v; return nil }
}

// List takes texts that are separated by commas.
func List(into *[]string) func(string) error {
	return func(v string) error {
		*into = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
		return nil
	}
}

// Switch takes true or false.
func Switch(into *bool) func(string) error {
	return func(v string) (err error) {
		if *into, err = strconv.ParseBool(v); err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		return nil
	}
}

// Count takes a number above 0.
func Count(into *int) func(string) error {
	return func(v string) (err error) {
		if *into, err = strconv.Atoi(v); err != nil || *into < 1 {
			return fmt.Errorf("%q is no number above 0", v)
		}
		return nil
	}
}

// Bytes takes a size such as 16Mi or 500k.
func Bytes(into *int64) func(string) error {
	return func(v string) error {
		size, err := resource.ParseQuantity(v)
		if err != nil || size.Sign() <= 0 {
			return fmt.Errorf("%q is no size: write a number of bytes such as 500k or 16Mi", v)
		}
		*into = size.Value()
		return nil
	}
}

// Duration takes a length of time, 0 included if zero.
func Duration(into *time.Duration, zero bool) func(string) error {
	return func(v string) (err error) {
		if *into, err = time.ParseDuration(v); err != nil || *into < 0 || *into == 0 && !zero {
			return fmt.Errorf("%q is no length of time: write one such as 500ms or 30s", v)
		}
		return nil
	}
}

// Part takes a percentage, and keeps it as a part of 1.
func Part(into *float64) func(string) error {
	return func(v string) error {
		number, ok := strings.CutSuffix(v, "%")
		percent, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || percent <= 0 || percent > 100 {
			return fmt.Errorf("%q is no percentage: write one such as 90%%", v)
		}
		*into = percent / 100
		return nil
	}
}

// OneOf takes one of some words.
func OneOf(into *string, words ...string) func(string) error {
	return func(v string) error {
		for _, word := range words {
			if v == word {
				*into = v
				return nil
			}
		}
		return fmt.Errorf("%q is not one of: %s", v, strings.Join(words, ", "))
	}
}
