package mailsink

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// maxDepth bounds how deep multiparts are followed.
const maxDepth = 10

// Message is a mail that the sink accepted.
type Message struct {
	// From and To are the envelope: what MAIL FROM and RCPT TO said, without
	// angle brackets. Bcc recipients are in To.
	From     string    `json:"from"`
	To       []string  `json:"to"`
	Received time.Time `json:"received"`

	// Header has the header fields as sent. Nil when Raw is not a mail.
	Header mail.Header `json:"header"`
	// Subject is decoded; MessageID is without angle brackets.
	Subject   string `json:"subject"`
	MessageID string `json:"messageId"`
	// Text and HTML are the first text/plain and text/html part, decoded.
	Text string `json:"text"`
	HTML string `json:"html"`
	// Raw is the mail as it came.
	Raw []byte `json:"raw"`
}

// parse reads what it can: a mail that is not well-formed keeps its raw bytes
// and whatever could be read, for a sink is there to show it.
func parse(raw []byte) Message {
	m := Message{Raw: raw}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m
	}
	m.Header = msg.Header
	m.MessageID = strings.Trim(msg.Header.Get("Message-Id"), "<> ")
	m.Subject = msg.Header.Get("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(m.Subject); err == nil {
		m.Subject = decoded
	}
	m.readPart(header(msg.Header), msg.Body, maxDepth)
	return m
}

// header is what mail.Header and textproto.MIMEHeader have in common.
type header map[string][]string

func (h header) get(key string) string {
	if values := h[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (m *Message) readPart(h header, body io.Reader, depth int) {
	mediaType, params, err := mime.ParseMediaType(h.get("Content-Type"))
	if err != nil {
		mediaType = "text/plain"
	}
	if strings.HasPrefix(mediaType, "multipart/") && depth > 0 {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				return
			}
			m.readPart(header(part.Header), part, depth-1)
		}
	}
	var into *string
	switch mediaType {
	case "text/plain":
		into = &m.Text
	case "text/html":
		into = &m.HTML
	default:
		return
	}
	if *into == "" {
		// An encoding that breaks off leaves what was read so far.
		text, _ := io.ReadAll(decoder(h.get("Content-Transfer-Encoding"), body))
		*into = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
}

func decoder(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	}
	return body
}
