package plan

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
)

// What docs/expressions.md says of the functions is so.
func TestDocumentedFunctions(t *testing.T) {
	text, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(.+?)` \\| `(.+?)` \\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 10 {
		t.Fatalf("%d examples", len(rows))
	}
	for _, row := range rows {
		if got, err := valueOf(t, strconv.Quote("${"+row[1]+"}")).JSON(testScope()); err != nil || string(got) != row[2] {
			t.Errorf("%s gives %s, %v; want %s", row[1], got, err, row[2])
		}
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(string(text))
	compileSpec(t, on(example[1]))
}

func TestFunctions(t *testing.T) {
	for name, tc := range map[string]struct{ expression, want string }{
		"html of all five":       {`html('<a href="x">\'&\'</a>')`, `"&lt;a href=&#34;x&#34;&gt;&#39;&amp;&#39;&lt;/a&gt;"`},
		"html of a field":        {`html(event.data.quote)`, `"a &#34;b&#34; \\ \n ü"`},
		"html of a list":         {`html(event.data.list)`, `"[1,&#34;two&#34;,{&#34;three&#34;:3}]"`},
		"html of a big number":   {`html(event.data.id)`, `"9007199254740993"`},
		"url of a number":        {`urlEncode(event.data.price)`, `"1.1"`},
		"json of a field":        {`json(event.data.list)`, `"[1,\"two\",{\"three\":3}]"`},
		"json of text":           {`json(event.data.quote)`, `"\"a \\\"b\\\" \\\\ \\n ü\""`},
		"json of null":           {`json(event.data.none)`, `"null"`},
		"json of a big number":   {`json([event.data.id, event.data.price])`, `"[9007199254740993,1.1]"`},
		"json of a record":       {`json(run).size() > 20`, `true`},
		"base64 of bytes":        {`base64.encode(b'\xff\x00')`, `"/wA="`},
		"base64 of a number":     {`base64.encode(12)`, `"MTI="`},
		"base64 of URLs":         {`base64.decode('_wA')`, `"/wA="`},
		"base64 over lines":      {`string(base64.decode('aGVs\nbG8='))`, `"hello"`},
		"time of the event":      {`formatTime(event.time, '%F %T %z%%')`, `"2026-01-02 03:04:05 +0000%"`},
		"twelve hours":           {`formatTime(event.time, '%I:%M %p, %a %b, %y, day %j')`, `"03:04 AM, Fri Jan, 26, day 002"`},
		"letters that Go reads":  {`formatTime(event.time, 'Jan 2 2006 MST %d')`, `"Jan 2 2006 MST 02"`},
		"sum of nothing":         {`sum([])`, `0`},
		"sum of data":            {`sum(event.data.list.filter(x, type(x) == int))`, `1`},
		"sum beyond a double":    {`sum([event.data.id, 1])`, `9007199254740994`},
		"sum of unsigned":        {`sum([1u, 2])`, `3`},
		"sum with a fraction":    {`sum([1, 2.5, 3u])`, `6.5`},
		"sum becomes a fraction": {`sum([9223372036854775807, 1, 0.5])`, `9223372036854776000`},
	} {
		if got, err := valueOf(t, strconv.Quote("${"+tc.expression+"}")).JSON(testScope()); err != nil || string(got) != tc.want {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, tc.want)
		}
	}
}

func TestFunctionFaults(t *testing.T) {
	for expression, want := range map[string]string{
		`formatTime(event.time, '%Q')`:                                      `without a letter that is known`,
		`formatTime(event.time, '100%')`:                                    `without a letter that is known`,
		`formatTime(event.time, '%d', 'Mars')`:                              `"Mars" is no time zone`,
		`formatTime(event.time, '%d', 'Local')`:                             `"Local" is no time zone`,
		`formatTime('soon', '%d')`:                                          `"soon" is not an RFC 3339 time`,
		`formatTime(event.data.count, '%d')`:                                `takes a time, and this is a number`,
		`base64.decode('***')`:                                              `this is not base64`,
		`sum(event.data.list)`:                                              `there is a string in it`,
		`sum([9223372036854775807, 1])`:                                     `too large together`,
		`json(0.0 / 0.0)`:                                                   `not a finite number`,
		`json(lists.range(9999).map(i, lists.range(999)))`:                  `more than`,
		`html(` + wide + `.map(i, ` + wide + `.map(j, 'x')))`:               `more than`,
		`json(lists.range(5000).map(i, '` + long + `')).size()`:             `larger than 4194304 bytes`,
		`urlEncode(lists.range(5000).map(i, '` + long + `'))`:               `larger than 4194304 bytes`,
		`lists.range(5000).map(i, html('` + long + `' + string(i)).size())`: `takes more than 1000000 operations`,
	} {
		if got, err := valueOf(t, strconv.Quote("${"+expression+"}")).JSON(testScope()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %.80s, %v; want %s", expression, got, err, want)
		}
	}
}

const wide = "lists.range(3000)"

var long = strings.Repeat("x", 1000)

// Names of the added functions do not take those of variables away, and do not
// reach into what is bound.
func TestFunctionNamesAreNoVariables(t *testing.T) {
	env, err := celEnv()
	if err != nil {
		t.Fatal(err)
	}
	for _, expression := range []string{"[1].map(html, html + 1)", "{'json': 1}.json + 1", "[1].map(base64, base64)", "[1].exists(sum, sum == 1)"} {
		if _, issues := env.Compile(expression); issues.Err() != nil {
			t.Errorf("%s: %v", expression, issues.Err())
		}
	}
}

// What people are told to write in place of a function of another language compiles.
func TestWaysInPlaceOfFunctions(t *testing.T) {
	env, err := celEnv()
	if err != nil {
		t.Fatal(err)
	}
	var words []cel.EnvOption
	for _, word := range []string{"text", "list", "value", "x", "time", "condition", "one", "other"} {
		words = append(words, cel.Variable(word, cel.DynType))
	}
	env, err = env.Extend(words...)
	if err != nil {
		t.Fatal(err)
	}
	for name, way := range tried {
		way, _, _ = strings.Cut(way, ": an expression")
		for part := range strings.SplitSeq(way, ", or ") {
			for _, part := range regexp.MustCompile(`, '|, also for lists| for a time, | for text`).Split(part, -1) {
				if part == "" || strings.Contains(part, "substring") || strings.HasPrefix(part, "%") || strings.HasPrefix(part, "a %s") {
					continue
				}
				if strings.Count(part, "'")%2 == 1 || strings.Count(part, "(") > strings.Count(part, ")") {
					continue // it was cut inside
				}
				if _, issues := env.Compile(part); issues.Err() != nil {
					t.Errorf("%s: %s: %v", name, part, issues.Err())
				}
			}
		}
	}
}

func TestUnknownFunctions(t *testing.T) {
	for expression, want := range map[string]string{
		"event.data.name.toUpperCase()": "there is no function toUpperCase: write 'text'.toUpper()",
		"len(event.data.list)":          "there is no function len: write size(list)",
		"now()":                         "write run.startedAt",
		"to_json(event.data)":           "write json(value)",
		"frobnicate(1)":                 "there is no function frobnicate; docs/expressions.md lists those that there are",
	} {
		_, err := tryValue(strconv.Quote("${" + expression + "}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %s", expression, err, want)
		}
	}
}
