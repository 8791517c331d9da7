-- One row in every user table of person $U.
insert into app.users (user_id, email) values ('$U', 'a@example.com');
insert into app.credentials (user_id, password_hash) values ('$U', 'h');
insert into app.profiles (user_id) values ('$U');
insert into app.user_tenants (user_id, tenant_id) values ('$U', '$U');
insert into app.sessions (user_id, session_id, expires_at) values ('$U', '$U', now());
insert into app.refresh_tokens (user_id, session_id, id, secret_hash, expires_at) values ('$U', '$U', '$U', '\x00', now());
insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at) values ('$U', '$U', 'verify_email', '\x00', 'a@example.com', now());
insert into app.oauth_tokens (user_id, id, issuer, subject) values ('$U', '$U', 'https://i', 's');
insert into app.user_state (user_id) values ('$U');
insert into app.user_events (user_id, id, action) values ('$U', '$U', 'login');
insert into app.user_outbox (user_id, id, kind) values ('$U', '$U', 'verify_email');
insert into app.user_processed (user_id, consumer, message_id) values ('$U', 'mailer', '$U');
insert into app.user_idempotency_keys (user_id, method, path, key, fingerprint) values ('$U', 'POST', '/', 'k', '\x00');
