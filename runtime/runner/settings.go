package runner

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Settings are what a runner is told from outside.
type Settings struct {
	RedisURL       string
	RedisCA        string // in PEM
	Namespace      string
	Manifest       string
	Listen         string
	Lease          time.Duration
	Grace          time.Duration
	MaxInFlight    int
	LogFormat      string
	TerminationLog string
	// Env is what expressions see as `env`: the variables WILDOUT_ENV_*
	// without the prefix.
	Env map[string]string

	values map[string]string
}

// setting is one of Settings: the flag --redis-url, the variable
// WILDOUT_REDIS_URL, and the variable WILDOUT_REDIS_URL_FILE with the name of a
// file that holds the value, in this order.
type setting struct {
	flag, fallback, usage string
	set                   func(s *Settings, value string) error
}

var settingList = []setting{
	{"redis-url", "", "Redis, such as redis://:password@host:6379/0", func(s *Settings, v string) error { s.RedisURL = v; return nil }},
	{"redis-ca", "", "certificates of the authorities that sign for rediss://, in PEM", func(s *Settings, v string) error { s.RedisCA = v; return nil }},
	{"namespace", "default", "namespace of the function", func(s *Settings, v string) error { s.Namespace = v; return nil }},
	{"manifest", "/etc/wildout/function.yaml", "manifest with the one function to run", func(s *Settings, v string) error { s.Manifest = v; return nil }},
	{"listen", ":8080", "address of /healthz, /readyz and /metrics", func(s *Settings, v string) error { s.Listen = v; return nil }},
	{"lease", "10s", "how long the runner may be silent before others take its runs", func(s *Settings, v string) error { return parseDuration(&s.Lease, v) }},
	{"grace", "20s", "how long runs may go on after a signal to stop", func(s *Settings, v string) error { return parseDuration(&s.Grace, v) }},
	{"max-in-flight", "256", "most runs at once", func(s *Settings, v string) error { return parseCount(&s.MaxInFlight, v) }},
	{"log-format", "json", "json or text", func(s *Settings, v string) error {
		s.LogFormat = v
		if v != "json" && v != "text" {
			return fmt.Errorf("%q is no format, want json or text", v)
		}
		return nil
	}},
	{"termination-log", defaultTerminationLog, "file for the reason of a failure, for Kubernetes to show", func(s *Settings, v string) error { s.TerminationLog = v; return nil }},
}

const (
	variablePrefix = "WILDOUT_"
	envPrefix      = "WILDOUT_ENV_"
)

func variable(flagName string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// errHelp says that --help was asked for, and answered.
var errHelp = errors.New("help")

// ReadSettings reads the settings from the command line, the environment (as
// os.Environ gives it) and the files that it names. All faults are reported.
// Help, with usage at its end, goes to stderr.
func ReadSettings(args, environ []string, usage string, stderr io.Writer) (Settings, error) {
	s := Settings{Env: map[string]string{}, values: map[string]string{}, TerminationLog: defaultTerminationLog}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if short, ok := strings.CutPrefix(name, envPrefix); ok {
			s.Env[short] = value
		} else if strings.HasPrefix(name, variablePrefix) {
			s.values[name] = value
		}
	}
	flags := flag.NewFlagSet("runner", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { writeHelp(stderr, usage) }
	given := make([]*string, len(settingList))
	for i, def := range settingList {
		given[i] = flags.String(def.flag, "", def.usage)
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, errHelp
		}
		return s, &configError{err}
	}
	if flags.NArg() > 0 {
		return s, &configError{fmt.Errorf("unexpected argument %q: --help lists the settings", flags.Arg(0))}
	}
	var errs []error
	for i, def := range settingList {
		value, err := *given[i], error(nil)
		if value == "" {
			value, err = s.Value(variable(def.flag))
		}
		if value == "" {
			value = def.fallback
		}
		if err == nil {
			if err = def.set(&s, value); err != nil {
				err = fmt.Errorf("%s (--%s): %w", variable(def.flag), def.flag, err)
			}
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return s, &configError{err}
	}
	return s, nil
}

// Value returns a variable of the environment, which begins with WILDOUT_, or
// the content of the file that NAME_FILE names, such as a mounted Secret; ""
// when neither is set.
func (s *Settings) Value(name string) (string, error) {
	if value := s.values[name]; value != "" {
		return value, nil
	}
	path := s.values[name+"_FILE"]
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

func writeHelp(w io.Writer, usage string) {
	fmt.Fprint(w, "Runs one function until it is told to stop. A setting is a flag, a variable, or\na file that the variable with _FILE at its end names.\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, def := range settingList {
		text := def.usage
		if def.fallback != "" {
			text += " (" + def.fallback + ")"
		}
		fmt.Fprintf(table, "  --%s\t%s\t%s\n", def.flag, variable(def.flag), text)
	}
	fmt.Fprintf(table, "\t%s…\twhat expressions see as env.…\n", envPrefix)
	_ = table.Flush() // help that cannot be written helps nobody
	fmt.Fprint(w, usage)
}

func parseDuration(into *time.Duration, text string) (err error) {
	*into, err = time.ParseDuration(text)
	if err == nil && *into <= 0 {
		err = fmt.Errorf("%s is not more than 0", text)
	}
	return err
}

func parseCount(into *int, text string) (err error) {
	*into, err = strconv.Atoi(text)
	if err == nil && *into < 1 {
		err = fmt.Errorf("%s is not more than 0", text)
	}
	return err
}
