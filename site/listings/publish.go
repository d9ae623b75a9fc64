package listings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// PublishInput is the input of listings.publish.
type PublishInput struct {
	ID string `json:"id"`
	// By is noted as processed_by: the name of the function.
	By string `json:"by"`
}

// PublishOutput is the output of listings.publish.
type PublishOutput struct {
	Status string `json:"status"`
	// ProcessedBy is who published it: By, or another function that was faster.
	ProcessedBy string `json:"processedBy"`
}

// Publish makes a draft public. A listing that is public stays as it is, with
// the time and the name of who was first; one that was cancelled or archived
// meanwhile is an error without retry.
func (s *Service) Publish(ctx context.Context, in PublishInput) (out PublishOutput, err error) {
	err = s.db.Do(ctx, "publish listing "+in.ID, func(tx *schema.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE events SET status = 'published', processed_at = $1, processed_by = $2
			WHERE id = $3 AND status = 'draft'`, schema.At(now), in.By, in.ID); err != nil {
			return err
		}
		var by sql.NullString
		err = tx.QueryRowContext(ctx, "SELECT status, processed_by FROM events WHERE id = $1", in.ID).Scan(&out.Status, &by)
		if errors.Is(err, sql.ErrNoRows) {
			return wildout.NonRetriable(errors.New("the listing was deleted"))
		}
		if err != nil {
			return err
		}
		if out.Status != "published" {
			return wildout.NonRetriable(fmt.Errorf("the listing is %s, only a draft can be published", out.Status))
		}
		out.ProcessedBy = by.String
		return nil
	})
	return out, err
}
