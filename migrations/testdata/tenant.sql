-- One row, at least, in every tenant table of tenant $T with member $U. Keys derive from $T, so that a second
-- tenant gets its own.
insert into app.organizations (tenant_id, name, subdomain) values ('$T', 'Acme', 'acme-' || left('$T', 8));
insert into app.tenant_settings (tenant_id) values ('$T');
insert into app.roles (tenant_id, id, name, permissions) values ('$T', '$T', 'Manager', '{tasks:read}');
insert into app.memberships (tenant_id, user_id, email, role, joined_at) values ('$T', '$U', 'a@example.com', 'owner', now());
insert into app.invitations (tenant_id, id, email, secret_hash, invited_by, expires_at) values ('$T', '$T', 'b@example.com', '\x00', '$U', now());
insert into app.projects (tenant_id, id, name, owner_id, created_by) values ('$T', '$T', 'Apollo', '$U', '$U');
insert into app.tasks (tenant_id, id, project_id, title, created_by, assignee_id) values ('$T', '$T', '$T', 'Write', '$U', '$U');
insert into app.project_task_counts (tenant_id, project_id, slot, todo, in_progress, done) values ('$T', '$T', 0, 1, 0, 0);
insert into app.comments (tenant_id, id, task_id, author_id, content) values ('$T', '$T', '$T', '$U', 'Done?');
insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key) values ('$T', '$T', '$T', '$U', 'a.txt', 1, 'text/plain', 'k');
insert into app.activity (tenant_id, id, action, model, object_id) values ('$T', '$T', 'created', 'Task', '$T');
insert into app.jobs (tenant_id, id, kind, created_by) values ('$T', '$T', 'export', '$U');
insert into app.outbox (tenant_id, id, kind) values ('$T', '$T', 'invitation');
insert into app.processed_messages (tenant_id, consumer, message_id) values ('$T', 'mailer', '$T');
insert into app.idempotency_keys (tenant_id, user_id, method, path, key, fingerprint) values ('$T', '$U', 'POST', '/', 'k', '\x00');
insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ('$T', 'cus', 'pro', 'active');
insert into app.payment_methods (tenant_id, id, brand, last4, exp_month, exp_year, created_at) values ('$T', 'pm', 'visa', '4242', 12, 2030, now());
insert into app.invoices (tenant_id, id, stripe_invoice_id, status, currency) values ('$T', '$T', 'in', 'paid', 'usd');
insert into app.usage_records (tenant_id, id, metric, day, quantity) values ('$T', '$T', 'api_requests', '2026-01-01', 1);
insert into app.usage_reports (tenant_id, metric, day, seq, identifier, customer_id, quantity) values ('$T', 'api_requests', '2026-01-01', 0, '$T', 'cus', 1);
insert into app.usage_warnings (tenant_id, metric, period, threshold, plan, quantity, allowed) values ('$T', 'api_requests', '2026-01-01', 50, 'pro', 1, 2);
insert into app.sso_connections (tenant_id, id, provider, issuer, client_id) values ('$T', '$T', 'oidc', 'https://i', 'c');
insert into app.sso_identities (tenant_id, connection_id, subject, user_id, email) values ('$T', '$T', 's', '$U', 'a@example.com');
insert into app.tenant_hosts (tenant_id, id, domain, verification_token) values ('$T', '$T', 'work.example.com', 't');
