// Package config reads the configuration of a gateway: who may send what, how
// often, and how they prove who they are; and the webhooks. It joins the file
// with the keys that it refers to into one Config, which never changes: when
// something was replaced, another Config is read, and takes the place of the
// last one only as a whole. The package must not know how requests come in.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/webhook"
	"github.com/wildout/wildout/runtime/plan"
)

// document is the file.
type document struct {
	Senders  []sender         `json:"senders,omitempty"`
	Webhooks []webhook.Config `json:"webhooks,omitempty"`
}

// sender is somebody who may send events.
type sender struct {
	// Name is what logs and metrics call it.
	Name string `json:"name"`
	// Keys is a folder, such as a mounted Secret, of which every file holds one
	// key. A relative path is below the folder of the configuration.
	Keys string `json:"keys,omitempty"`
	// ServiceAccounts are namespace/name: their tokens are taken for keys.
	ServiceAccounts []string `json:"serviceAccounts,omitempty"`
	// EventTypes are patterns of what it may send; * stands for any characters.
	EventTypes []string `json:"eventTypes"`
	// Rate bounds its events over all gateways.
	Rate *rate `json:"rate,omitempty"`
}

// rate allows limit events per period on the average, and burst at once.
type rate struct {
	Limit  int               `json:"limit"`
	Period v1alpha1.Duration `json:"period"`
	// Burst is limit when it is left out.
	Burst int `json:"burst,omitempty"`
}

// Config is a configuration that holds.
type Config struct {
	// Senders are those of the file, in its order.
	Senders []*gateway.Sender
	// Webhooks are sound, as far as webhook.Validate knows. Relative paths in
	// them are below the folder of the file, as with the keys.
	Webhooks []webhook.Config

	keys     ring
	accounts map[string]*gateway.Sender // by namespace/name
	folders  []string
}

// Files are the folders with the keys, to watch beside the file itself.
func (c *Config) Files() []string { return c.folders }

// HasAccounts reports whether a ServiceAccount may send.
func (c *Config) HasAccounts() bool { return len(c.accounts) > 0 }

// Account returns the sender that a ServiceAccount is, nil when it is none.
func (c *Config) Account(namespace, name string) *gateway.Sender {
	return c.accounts[namespace+"/"+name]
}

// Load reads the configuration of a file, and the keys. The error is
// plan.Errors, with every fault, where the file could be read.
func Load(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration of the gateway: %w", err)
	}
	c, err := parse(text, filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// LoadWebhooks reads the webhooks alone, for where everybody may send.
func LoadWebhooks(file string) ([]webhook.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration of the gateway: %w", err)
	}
	doc, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	b := builder{folder: filepath.Dir(file), config: &Config{Webhooks: doc.Webhooks}}
	b.secretFiles()
	return doc.Webhooks, nil
}

// parse reads a configuration; folder is what relative paths are below.
func parse(text []byte, folder string) (*Config, error) {
	doc, err := decode(text)
	if err != nil {
		return nil, err
	}
	b := builder{folder: folder, config: &Config{Webhooks: doc.Webhooks, keys: ring{}, accounts: map[string]*gateway.Sender{}}, names: map[string]bool{}}
	for i := range doc.Senders {
		b.sender(fmt.Sprintf("senders[%d]", i), &doc.Senders[i])
	}
	b.secretFiles()
	var faults plan.Errors
	if err := webhook.Validate("webhooks", doc.Webhooks); errors.As(err, &faults) {
		b.faults = append(b.faults, faults...)
	} else if err != nil {
		return nil, err
	}
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	return b.config, nil
}

// decode is strict: a field that is unknown or there twice is a fault.
func decode(text []byte) (*document, error) {
	encoded, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("this is no YAML: %w", err)
	}
	var doc document
	if encoded = bytes.TrimSpace(encoded); string(encoded) == "null" {
		return &doc, nil // an empty file
	}
	strict, err := kjson.UnmarshalStrict(encoded, &doc)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	var faults plan.Errors
	for _, fault := range strict {
		path, message := "", fault.Error()
		var field kjson.FieldError
		if errors.As(fault, &field) {
			path = field.FieldPath()
			message = strings.TrimSpace(strings.ReplaceAll(message, fmt.Sprintf("%q", path), "")) + ": look for a misspelling"
		}
		faults = append(faults, &plan.Error{Path: path, Message: message})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return &doc, nil
}
