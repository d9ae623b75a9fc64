package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/wildout/wildout/cmd/wildout/internal/settings"
)

type values struct {
	text     string
	list     []string
	on       bool
	count    int
	bytes    int64
	duration time.Duration
	part     float64
	word     string
}

func (v *values) all() []settings.Setting {
	return []settings.Setting{
		{Flag: "text", Default: "none", Set: settings.Text(&v.text)},
		{Flag: "list", Set: settings.List(&v.list)},
		{Flag: "on", Default: "false", Set: settings.Switch(&v.on)},
		{Flag: "count", Default: "1", Set: settings.Count(&v.count)},
		{Flag: "bytes", Default: "1Mi", Set: settings.Bytes(&v.bytes)},
		{Flag: "long-time", Default: "0s", Set: settings.Duration(&v.duration, true)},
		{Flag: "part", Default: "90%", Set: settings.Part(&v.part)},
		{Flag: "word", Default: "a", Set: settings.OneOf(&v.word, "a", "b")},
	}
}

func read(v *values, args, environ []string) error {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	settings.AddFlags(flags, v.all())
	if err := flags.Parse(args); err != nil {
		return err
	}
	return settings.Read(flags, environ, v.all())
}

func TestOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args, environ []string
		want          string
	}{
		"nothing":  {nil, nil, "none"},
		"a file":   {nil, []string{"WILDOUT_TEXT_FILE=" + file}, "of a file"},
		"variable": {nil, []string{"WILDOUT_TEXT=of a variable", "WILDOUT_TEXT_FILE=" + file}, "of a variable"},
		"a flag":   {[]string{"--text", "of a flag"}, []string{"WILDOUT_TEXT=of a variable"}, "of a flag"},
		"no text":  {[]string{"--text", ""}, []string{"WILDOUT_TEXT=of a variable"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var v values
			if err := read(&v, c.args, c.environ); err != nil || v.text != c.want {
				t.Errorf("%q, error %v, want %q", v.text, err, c.want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	var v values
	err := read(&v, []string{"--list", "a,b", "--on", "--count", "7", "--bytes", "2k", "--part", "12.5%", "--word", "b"}, []string{"WILDOUT_LONG_TIME=90s"})
	if err != nil || strings.Join(v.list, " ") != "a b" || !v.on || v.count != 7 || v.bytes != 2000 || v.duration != 90*time.Second || v.part != 0.125 || v.word != "b" {
		t.Errorf("%+v, error %v", v, err)
	}
}

func TestEveryFaultIsSaid(t *testing.T) {
	var v values
	err := read(&v, []string{"--on=maybe", "--count", "0", "--bytes", "-1", "--long-time", "-1s", "--part", "90", "--word", "c"}, []string{"WILDOUT_TEXT_FILE=/nowhere"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"--text (WILDOUT_TEXT): WILDOUT_TEXT_FILE", "--on", "--count", "--bytes", "--long-time (WILDOUT_LONG_TIME)", "--part", "--word"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error\n%v\nwithout %q", err, want)
		}
	}
}
