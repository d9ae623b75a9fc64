-- What makes effects happen once, over retries, runs and functions.

-- +goose Up
-- A row per increment that was made: inserted in the transaction of the increment.
CREATE TABLE IF NOT EXISTS applied_steps (
    idempotency_key text PRIMARY KEY,
    applied_at      timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS applied_steps_time ON applied_steps (applied_at);

-- A row per alert that a rule with a window raised for a user.
CREATE TABLE IF NOT EXISTS alert_windows (
    rule      text NOT NULL,
    user_id   text NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (rule, user_id, opened_at)
);

-- A row per mail that counts against its recipient's limit and that of all.
-- send_at is the plan for the recipient; occupied_at is the last moment at which
-- the mail may have been delivered (in the future while an attempt is under
-- way), null before; paced_at is its turn among all mails, then its last
-- attempt, null while nothing but the recipient's limit holds it up.
CREATE TABLE IF NOT EXISTS email_reservations (
    idempotency_key text PRIMARY KEY,
    recipient       text NOT NULL,
    send_at         timestamptz NOT NULL,
    occupied_at     timestamptz,
    paced_at        timestamptz
);
CREATE INDEX IF NOT EXISTS email_reservations_plan ON email_reservations (recipient, send_at);
CREATE INDEX IF NOT EXISTS email_reservations_use ON email_reservations (recipient, occupied_at);
CREATE INDEX IF NOT EXISTS email_reservations_use_of_all ON email_reservations (occupied_at);
CREATE INDEX IF NOT EXISTS email_reservations_turn ON email_reservations (paced_at);

-- +goose Down
DROP TABLE email_reservations;
DROP TABLE alert_windows;
DROP TABLE applied_steps;
