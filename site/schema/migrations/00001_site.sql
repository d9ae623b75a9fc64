-- The tables of the site. One text for PostgreSQL and SQLite: SQLite takes the
-- type names timestamptz, jsonb and boolean as they are and keeps what it is
-- given (times as UTC text of fixed width, so that they sort; see Time).
-- IF NOT EXISTS: a Supabase project may already have users or events.

-- +goose Up
CREATE TABLE IF NOT EXISTS users (
    id         text PRIMARY KEY,
    email      text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS user_profiles (
    user_id               text PRIMARY KEY,
    email                 text NOT NULL,
    welcome_email_sent    boolean NOT NULL DEFAULT false,
    welcome_email_sent_at timestamptz,
    created_at            timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS venues (
    id       text PRIMARY KEY,
    name     text NOT NULL,
    location text NOT NULL DEFAULT ''
);

CREATE TABLE IF NOT EXISTS team_members (
    id    text PRIMARY KEY,
    name  text NOT NULL,
    email text NOT NULL
);

CREATE TABLE IF NOT EXISTS events (
    id           text PRIMARY KEY,
    title        text NOT NULL DEFAULT '',
    date         timestamptz,
    venue_id     text REFERENCES venues (id) ON DELETE SET NULL,
    status       text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'cancelled', 'archived')),
    created_by   text NOT NULL DEFAULT '',
    processed_at timestamptz,
    processed_by text
);

CREATE TABLE IF NOT EXISTS event_team_members (
    event_id       text NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    team_member_id text NOT NULL REFERENCES team_members (id) ON DELETE CASCADE,
    PRIMARY KEY (event_id, team_member_id)
);

CREATE TABLE IF NOT EXISTS audit_log (
    id          text PRIMARY KEY,
    event_id    text NOT NULL UNIQUE,
    user_id     text NOT NULL,
    user_role   text NOT NULL DEFAULT '',
    action      text NOT NULL,
    record_type text NOT NULL DEFAULT '',
    record_id   text NOT NULL DEFAULT '',
    details     jsonb NOT NULL DEFAULT '{}',
    compliance  boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_log_user_action_time ON audit_log (user_id, action, created_at);
CREATE INDEX IF NOT EXISTS audit_log_time ON audit_log (created_at);

CREATE TABLE IF NOT EXISTS email_log (
    id              text PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    recipient       text NOT NULL,
    subject         text NOT NULL,
    message_id      text NOT NULL DEFAULT '',
    sent_at         timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS email_log_recipient_time ON email_log (recipient, sent_at);

CREATE TABLE IF NOT EXISTS email_metrics (
    date         date PRIMARY KEY,
    sent_count   bigint NOT NULL DEFAULT 0,
    failed_count bigint NOT NULL DEFAULT 0,
    last_sent_at timestamptz
);

CREATE TABLE IF NOT EXISTS user_activity_metrics (
    user_id        text PRIMARY KEY,
    last_action    text NOT NULL,
    last_action_at timestamptz NOT NULL,
    action_count   bigint NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS security_alerts (
    id         text PRIMARY KEY,
    dedupe_key text NOT NULL UNIQUE,
    type       text NOT NULL,
    severity   text NOT NULL CHECK (severity IN ('LOW', 'MEDIUM', 'HIGH')),
    user_id    text NOT NULL,
    details    jsonb NOT NULL DEFAULT '{}',
    claimed_by text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS notifications (
    id              text PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    channel         text NOT NULL,
    recipient       text NOT NULL DEFAULT '',
    subject         text NOT NULL DEFAULT '',
    body            text NOT NULL DEFAULT '',
    status          text NOT NULL,
    claimed_by      text NOT NULL,
    created_at      timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS usage_stats (
    id         text PRIMARY KEY,
    users      bigint NOT NULL,
    events     bigint NOT NULL,
    audit_logs bigint NOT NULL,
    emails     bigint NOT NULL,
    taken_at   timestamptz NOT NULL
);

-- +goose Down
DROP TABLE usage_stats;
DROP TABLE notifications;
DROP TABLE security_alerts;
DROP TABLE user_activity_metrics;
DROP TABLE email_metrics;
DROP TABLE email_log;
DROP TABLE audit_log;
DROP TABLE event_team_members;
DROP TABLE events;
DROP TABLE team_members;
DROP TABLE venues;
DROP TABLE user_profiles;
DROP TABLE users;
