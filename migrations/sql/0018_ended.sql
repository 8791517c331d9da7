-- Jobs, invitations and addresses of mail go by their age when they ended: these indexes find them (docs/schedules.md,
-- "Retention"). Outside a transaction, for the concurrent builds; every statement can be run again.

-- +goose NO TRANSACTION

-- +goose Up
set lock_timeout = 0;

drop index concurrently if exists app.jobs_finished_idx;

create index concurrently jobs_finished_idx on app.jobs (finished_at) where finished_at is not null;

drop index concurrently if exists app.invitations_accepted_idx;

create index concurrently invitations_accepted_idx on app.invitations (accepted_at) where accepted_at is not null;

drop index concurrently if exists app.invitations_revoked_idx;

create index concurrently invitations_revoked_idx on app.invitations (revoked_at) where revoked_at is not null;

drop index concurrently if exists app.mail_recipients_retention_idx;

create index concurrently mail_recipients_retention_idx on app.mail_recipients (updated_at) where suppressed_at is null;

reset lock_timeout;

-- +goose Down
set lock_timeout = 0;

drop index concurrently if exists app.mail_recipients_retention_idx;

drop index concurrently if exists app.invitations_revoked_idx;

drop index concurrently if exists app.invitations_accepted_idx;

drop index concurrently if exists app.jobs_finished_idx;

reset lock_timeout;
