package runner

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// read reads settings that are right.
func read(t *testing.T, args, environ []string) Settings {
	t.Helper()
	var help strings.Builder
	s, err := ReadSettings(args, environ, "", &help)
	if err != nil {
		t.Fatal(err)
	}
	if help.Len() > 0 {
		t.Errorf("nobody asked for help: %s", &help)
	}
	return s
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	got := read(t, nil, nil)
	got.values = nil
	want := Settings{Namespace: "default", Manifest: "/etc/wildout/function.yaml", Listen: ":8080", Lease: 10 * time.Second, Grace: 20 * time.Second,
		MaxInFlight: 256, LogFormat: "json", TerminationLog: defaultTerminationLog, Env: map[string]string{}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestWhereASettingComesFrom: the flag goes before the variable, and that before
// the file.
func TestWhereASettingComesFrom(t *testing.T) {
	fromFile := "WILDOUT_REDIS_URL_FILE=" + file(t, "  redis://file\n")
	for name, tc := range map[string]struct {
		args, environ []string
		want          string
	}{
		"flag":              {[]string{"--redis-url", "redis://flag"}, []string{"WILDOUT_REDIS_URL=redis://variable", fromFile}, "redis://flag"},
		"flag with =":       {[]string{"--redis-url=redis://flag"}, nil, "redis://flag"},
		"variable":          {nil, []string{fromFile, "WILDOUT_REDIS_URL=redis://a=b"}, "redis://a=b"},
		"file":              {nil, []string{fromFile}, "redis://file"},
		"empty variable":    {nil, []string{"WILDOUT_REDIS_URL=", fromFile}, "redis://file"},
		"nothing":           {nil, []string{"REDIS_URL=redis://other"}, ""},
		"variable of Go":    {nil, []string{"GOGC=10", "WILDOUT_REDIS_URL=redis://v"}, "redis://v"},
		"the last variable": {nil, []string{"WILDOUT_REDIS_URL=1", "WILDOUT_REDIS_URL=2"}, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(t, tc.args, tc.environ).RedisURL; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestEverySettingHasAVariable sets all of them, each once.
func TestEverySettingHasAVariable(t *testing.T) {
	values := map[string]string{"redis-url": "redis://h", "redis-ca": "PEM", "namespace": "shop", "manifest": "/m", "listen": ":1", "lease": "2s",
		"grace": "1m", "max-in-flight": "7", "log-format": "text", "termination-log": "/t"}
	var environ, args []string
	for _, def := range settingList {
		environ = append(environ, variable(def.flag)+"="+values[def.flag])
		args = append(args, "--"+def.flag, values[def.flag])
		if values[def.flag] == "" {
			t.Errorf("%s is not in this test", def.flag)
		}
	}
	want := Settings{RedisURL: "redis://h", RedisCA: "PEM", Namespace: "shop", Manifest: "/m", Listen: ":1", Lease: 2 * time.Second, Grace: time.Minute,
		MaxInFlight: 7, LogFormat: "text", TerminationLog: "/t", Env: map[string]string{"REGION": "eu", "EMPTY": ""}}
	for _, given := range [][]string{args, nil} {
		names := environ
		if given != nil {
			names = nil
		}
		got := read(t, given, append([]string{"WILDOUT_ENV_REGION=eu", "WILDOUT_ENV_EMPTY="}, names...))
		got.values = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v, want %+v", given, got, want)
		}
	}
}

// TestFaultsOfSettings name the setting, as a flag and as a variable, and all of
// them are told at once.
func TestFaultsOfSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		args, environ, want []string
	}{
		"duration":      {[]string{"--lease", "soon"}, nil, []string{`WILDOUT_LEASE (--lease): time: invalid duration "soon"`}},
		"no time":       {nil, []string{"WILDOUT_GRACE=0s"}, []string{"WILDOUT_GRACE (--grace): 0s is not more than 0"}},
		"less than 0":   {nil, []string{"WILDOUT_GRACE=-1s"}, []string{"-1s is not more than 0"}},
		"count":         {[]string{"--max-in-flight", "many"}, nil, []string{`WILDOUT_MAX_IN_FLIGHT (--max-in-flight): strconv.Atoi: parsing "many"`}},
		"no count":      {[]string{"--max-in-flight", "0"}, nil, []string{"0 is not more than 0"}},
		"format":        {nil, []string{"WILDOUT_LOG_FORMAT=xml"}, []string{`WILDOUT_LOG_FORMAT (--log-format): "xml" is no format, want json or text`}},
		"file":          {nil, []string{"WILDOUT_REDIS_URL_FILE=/not/there"}, []string{"WILDOUT_REDIS_URL_FILE: open /not/there"}},
		"argument":      {[]string{"run"}, nil, []string{`unexpected argument "run": --help lists the settings`}},
		"unknown flag":  {[]string{"--redis"}, nil, []string{"flag provided but not defined: -redis"}},
		"several":       {[]string{"--lease", "x"}, []string{"WILDOUT_GRACE=y", "WILDOUT_MAX_IN_FLIGHT=z"}, []string{"WILDOUT_LEASE", "WILDOUT_GRACE", "WILDOUT_MAX_IN_FLIGHT"}},
		"without value": {[]string{"--lease"}, nil, []string{"flag needs an argument: -lease"}},
	} {
		t.Run(name, func(t *testing.T) {
			var help strings.Builder
			_, err := ReadSettings(tc.args, tc.environ, "", &help)
			var fault *configError
			if !errors.As(err, &fault) {
				t.Fatalf("got %v, want a fault of the settings", err)
			}
			for _, text := range tc.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("got %q, want %q in it", err, text)
				}
			}
		})
	}
}

func TestHelpListsEverySetting(t *testing.T) {
	var help strings.Builder
	if _, err := ReadSettings([]string{"--help"}, nil, "of the handlers\n", &help); !errors.Is(err, errHelp) {
		t.Fatalf("got %v", err)
	}
	for _, def := range settingList {
		for _, text := range []string{"--" + def.flag, variable(def.flag), def.usage, def.fallback} {
			if !strings.Contains(help.String(), text) {
				t.Errorf("%q is not in the help:\n%s", text, &help)
			}
		}
	}
	if !strings.Contains(help.String(), "WILDOUT_ENV_…") || !strings.HasSuffix(help.String(), "of the handlers\n") {
		t.Errorf("help:\n%s", &help)
	}
}

// TestValuesOfHandlers are read as the settings are.
func TestValuesOfHandlers(t *testing.T) {
	s := read(t, nil, []string{"WILDOUT_SMTP_URL=smtp://h", "WILDOUT_TOKEN_FILE=" + file(t, "secret\n"), "WILDOUT_GONE_FILE=/not/there"})
	for name, want := range map[string]string{"WILDOUT_SMTP_URL": "smtp://h", "WILDOUT_TOKEN": "secret", "WILDOUT_OTHER": ""} {
		if got, err := s.Value(name); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := s.Value("WILDOUT_GONE"); err == nil || !strings.Contains(err.Error(), "WILDOUT_GONE_FILE") {
		t.Errorf("a file that is not there: got %v", err)
	}
}
