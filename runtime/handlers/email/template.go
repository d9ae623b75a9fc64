package email

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strings"

	// The templates of the standard library, without calls of methods: those are
	// looked up by name, which would keep every method of the whole program in it.
	htmltemplate "github.com/DataDog/datadog-agent/pkg/template/html"
	texttemplate "github.com/DataDog/datadog-agent/pkg/template/text"
)

// subjectBlock is the template that a .txt file defines for the subject.
const subjectBlock = "subject"

// templates are the pairs of a folder, by name.
type templates map[string]pair

// pair is one mail: subject and text, and HTML unless there is no such file.
type pair struct {
	text *texttemplate.Template
	html *htmltemplate.Template
}

// loadTemplates reads all pairs in the root of dir; a nil dir has none.
func loadTemplates(dir fs.FS) (templates, error) {
	set := templates{}
	if dir == nil {
		return set, nil
	}
	files, err := fs.Glob(dir, "*.*")
	if err != nil {
		return nil, fmt.Errorf("list the mail templates: %w", err)
	}
	for _, file := range files {
		name, isText := strings.CutSuffix(file, ".txt")
		if !isText {
			if base, isHTML := strings.CutSuffix(file, ".html"); isHTML && !exists(dir, base+".txt") {
				return nil, fmt.Errorf("mail template %s: %s.txt is missing, which has the subject and the text", file, base)
			}
			continue
		}
		p, err := loadPair(dir, name)
		if err != nil {
			return nil, fmt.Errorf("mail template %s: %w", name, err)
		}
		set[name] = p
	}
	return set, nil
}

func exists(dir fs.FS, file string) bool {
	_, err := fs.Stat(dir, file)
	return err == nil
}

func loadPair(dir fs.FS, name string) (p pair, err error) {
	// A variable that is not there must not become "<no value>" in a mail.
	const strict = "missingkey=error"
	if p.text, err = texttemplate.New(name+".txt").Option(strict).ParseFS(dir, name+".txt"); err != nil {
		return pair{}, err
	}
	if !exists(dir, name+".html") {
		return p, nil
	}
	if p.html, err = htmltemplate.New(name+".html").Option(strict).ParseFS(dir, name+".html"); err != nil {
		return pair{}, err
	}
	// html/template finds a wrong context only when it is first executed: find
	// it now. Missing variables are expected here.
	var wrongContext *htmltemplate.Error
	if err := p.html.Execute(io.Discard, Vars{}); errors.As(err, &wrongContext) {
		return pair{}, err
	}
	return p, nil
}

// render fills in what m asks for; without a template it is what m gives.
func (set templates) render(m Message) (content, error) {
	c := content{subject: m.Subject, text: m.Text, html: m.HTML}
	if m.Template == "" {
		return c, nil
	}
	if m.Text != "" || m.HTML != "" {
		return content{}, errors.New("the mail has a template and a text or html of its own: give one of them")
	}
	p, ok := set[m.Template]
	if !ok {
		return content{}, fmt.Errorf("there is no mail template %q, known are: %s", m.Template, set.names())
	}
	vars := m.Vars
	if vars == nil {
		vars = Vars{}
	}
	c, err := p.render(c.subject, vars)
	if err != nil {
		return content{}, fmt.Errorf("mail template %q does not fit its vars (a variable without a key in vars is an error): %w", m.Template, err)
	}
	return c, nil
}

func (p pair) render(subject string, vars Vars) (c content, err error) {
	c.subject = subject
	var buf bytes.Buffer
	if block := p.text.Lookup(subjectBlock); subject == "" && block != nil {
		if err := block.Execute(&buf, vars); err != nil {
			return content{}, err
		}
		c.subject = strings.TrimSpace(buf.String())
		buf.Reset()
	}
	if err := p.text.Execute(&buf, vars); err != nil {
		return content{}, err
	}
	c.text = strings.TrimLeft(buf.String(), "\r\n") // what {{define}} leaves
	if p.html != nil {
		buf.Reset()
		if err := p.html.Execute(&buf, vars); err != nil {
			return content{}, err
		}
		c.html = buf.String()
	}
	return c, nil
}

func (set templates) names() string {
	if len(set) == 0 {
		return "none (the runner has no template folder)"
	}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
