-- What is known of an address that mail goes to, whoever's it is: that it takes none (suppressed), and what was sent
-- to it lately, so that nobody is flooded through us. Both are claims, keyed by a hash of the address: the
-- application sees one address at a time, the one app.set_claim named.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- address_hash is SHA-256, in hex, of the address in lower case (functions/mailer). Every address that was ever
-- written to has a row: it is what two mails to one address wait for each other on.
create table app.mail_recipients (
  address_hash  text        not null,
  suppressed_at timestamptz,
  reason        text,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint mail_recipients_pkey primary key (address_hash),
  constraint mail_recipients_address_hash_format check (address_hash ~ '^[0-9a-f]{64}$'),
  constraint mail_recipients_reason_known check (reason in ('bounce', 'complaint', 'operator')),
  constraint mail_recipients_suppressed_state check ((suppressed_at is null) = (reason is null))
);

select app.distribute('app.mail_recipients', 'address_hash', 'none');

alter table app.mail_recipients enable row level security;

create policy claim on app.mail_recipients
  using      (address_hash = nullif(current_setting('app.claim_key', true), ''))
  with check (address_hash = nullif(current_setting('app.claim_key', true), ''));

grant select, insert, update, delete on app.mail_recipients to coditect_app, coditect_system;

-- One row per message and recipient: reserved before it is sent, sent_at when a server took it. A message that is
-- delivered again finds its row: it is not counted twice, and not sent again where it was sent.
create table app.mail_sends (
  address_hash text        not null,
  message_id   uuid        not null,
  kind         text        not null,
  created_at   timestamptz not null default now(),
  sent_at      timestamptz,
  constraint mail_sends_pkey primary key (address_hash, message_id),
  constraint mail_sends_address_hash_format check (address_hash ~ '^[0-9a-f]{64}$'),
  constraint mail_sends_kind_length check (char_length(kind) between 1 and 64)
);

select app.distribute('app.mail_sends', 'address_hash', 'app.mail_recipients');

alter table app.mail_sends enable row level security;

create policy claim on app.mail_sends
  using      (address_hash = nullif(current_setting('app.claim_key', true), ''))
  with check (address_hash = nullif(current_setting('app.claim_key', true), ''));

grant select, insert, update, delete on app.mail_sends to coditect_app, coditect_system;

create index mail_sends_kind_idx on app.mail_sends (address_hash, kind, created_at);

create index mail_sends_retention_idx on app.mail_sends (created_at);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.mail_sends;

drop table app.mail_recipients;
