package security

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// StoreAlertInput is the input of security.store-alert.
type StoreAlertInput struct {
	// Key is the id of the alert's event: one row per key.
	Key      string    `json:"key"`
	Type     string    `json:"type"`
	Severity string    `json:"severity"`
	UserID   string    `json:"userId"`
	Attempts int       `json:"attempts"`
	Action   string    `json:"action"`
	Time     time.Time `json:"time"`
	// Contacts are the addresses of the security contacts, comma separated.
	Contacts string `json:"contacts"`
}

// StoreAlertOutput is the output of security.store-alert.
type StoreAlertOutput struct {
	// Mine: this run stored the alert and must see that it is delivered. False:
	// another run did.
	Mine bool `json:"mine"`
	// Contacts are the addresses, one by one.
	Contacts []string `json:"contacts"`
}

// StoreAlert stores the alert once. The run that stored it finds it to be its
// own on every attempt, so a crash before the mail loses nothing.
func (s *Service) StoreAlert(ctx context.Context, in StoreAlertInput) (StoreAlertOutput, error) {
	out := StoreAlertOutput{Contacts: splitAddresses(in.Contacts)}
	if in.Key == "" || in.Type == "" || in.UserID == "" {
		return out, wildout.NonRetriable(errors.New("an alert needs key, type and userId"))
	}
	run := wildout.Info(ctx).RunID
	details, err := json.Marshal(map[string]any{"attempts": in.Attempts, "action": in.Action})
	if err != nil {
		return out, wildout.NonRetriable(fmt.Errorf("encode the details of alert %s: %w", in.Key, err))
	}
	err = s.db.Do(ctx, "store alert "+in.Key, func(tx *schema.Tx) error {
		at := in.Time
		if at.IsZero() {
			if at, err = tx.Now(ctx); err != nil {
				return err
			}
		}
		id, err := schema.NewID()
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO security_alerts (id, dedupe_key, type, severity, user_id, details, claimed_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (dedupe_key) DO NOTHING`,
			id, in.Key, in.Type, in.Severity, in.UserID, string(details), run, schema.At(at))
		if err != nil {
			return err
		}
		var owner string
		err = tx.QueryRowContext(ctx, "SELECT claimed_by FROM security_alerts WHERE dedupe_key = $1", in.Key).Scan(&owner)
		out.Mine = owner == run
		return err
	})
	return out, err
}

// splitAddresses returns the addresses of a comma separated list, each once.
func splitAddresses(list string) []string {
	addresses := []string{}
	for address := range strings.SplitSeq(list, ",") {
		if address = strings.TrimSpace(address); address != "" && !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	return addresses
}
