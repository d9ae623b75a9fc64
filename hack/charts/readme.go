package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The table of the values is between these lines of a README.
const (
	tableBegins = "<!-- begin values: make generate -->\n"
	tableEnds   = "<!-- end values -->"
)

// withTable replaces the table in the text of a README.
func withTable(readme []byte, values []*value) ([]byte, error) {
	before, rest, begins := bytes.Cut(readme, []byte(tableBegins))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return nil, fmt.Errorf("there is no place for the table of the values: put it between the lines %q and %q", strings.TrimSpace(tableBegins), tableEnds)
	}
	var table strings.Builder
	table.WriteString("| value | default | is |\n|---|---|---|\n")
	if err := addRows(&table, values); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s%s%s%s%s", before, tableBegins, table.String(), tableEnds, after), nil
}

func addRows(table *strings.Builder, values []*value) error {
	for _, v := range values {
		description := strings.ReplaceAll(v.description, "|", `\|`)
		if v.children != nil {
			fmt.Fprintf(table, "| **`%s`** | | %s |\n", v.path, description)
			if err := addRows(table, v.children); err != nil {
				return err
			}
			continue
		}
		var fallback bytes.Buffer
		encoder := json.NewEncoder(&fallback)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v.fallback); err != nil {
			return fmt.Errorf("%s: %w", v.path, err)
		}
		fmt.Fprintf(table, "| `%s` | `%s` | %s |\n", v.path, strings.TrimSpace(fallback.String()), description)
	}
	return nil
}
