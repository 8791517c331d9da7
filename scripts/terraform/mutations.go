package terraform

// Mutations are mistakes that a module's tests must notice, by a message of
// their own: those of one module are made all at once.
var Mutations = []Mutation{
	{"project", "main.tf", `"assertion.repository == '${var.repository}'"`, `"true"`, "Only this repository's runs may sign in."},
	{"project", "main.tf", `subject/repo:${var.repository}:environment:${var.environment}`, `subject/repo:${var.repository}:ref:refs/heads/main`, "Only a run in the protected environment may apply."},
	{"project", "variables.tf", `"iap.googleapis.com", `, ``, "Images are scanned, and shells go through the identity-aware proxy: their APIs are on."},
	{"project", "main.tf", `"DEPRIVILEGE"`, `"DISABLE"`, "The default accounts may nothing."},
	{"project", "main.tf", `"REQUIRE_ATTESTATION"`, `"ALWAYS_DENY"`, "An image needs the pipeline's signature."},
	{"project", "main.tf", `role = "roles/storage.objectViewer"`, `role = "roles/storage.objectAdmin"`, "The planner does not write state."},
	{"project", "main.tf", `log_type = "DATA_READ"`, `log_type = "DATA_WRITE"`, "Reading and writing are logged."},

	{"networking", "main.tf", `auto_create_subnetworks = false`, `auto_create_subnetworks = true`, "A custom network: an automatic one has subnets in every region."},
	{"networking", "main.tf", `private_ip_google_access = true`, `private_ip_google_access = false`, "Google's APIs are reached from inside."},
	{"networking", "main.tf", `"ALL_SUBNETWORKS_ALL_IP_RANGES"`, `"ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES"`, "Everything goes out through NAT, pods too."},
	{"networking", "main.tf", `visibility  = "private"`, `visibility  = "public"`, "Names inside are not for the world."},
	{"networking", "main.tf", `enable = true`, `enable = false`, "NAT logs what found no port."},
	{"networking", "main.tf", `administration"
  address_type = "INTERNAL"`, `administration"
  address_type = "EXTERNAL"`, "Hydra's administration has an address inside only."},

	{"firewall", "main.tf", `priority           = 65534`, `priority           = 900`, "What no rule allows is denied."},
	{"firewall", "main.tf", `ranges = [var.functions_range], targets = [var.tags.cluster], ports = [var.ports.pooler]`, `ranges = local.everyone, targets = [var.tags.cluster], ports = [var.ports.pooler]`, "Nothing is let in from everywhere."},
	{"firewall", "main.tf", `ranges = [var.managed_range], targets = [var.tags.functions], ports = [var.ports.redis]`, `ranges = [var.managed_range], targets = [var.tags.functions], ports = [var.ports.redis, "6379"]`, "6379, Redis without TLS, is open nowhere."},
	{"firewall", "main.tf", `targets = [var.tags.signin]`, `targets = [var.tags.functions]`, "Hydra's administration is for who signs people in, and for no other function."},
	{"firewall", "main.tf", `ports = [var.ports.pooler, var.ports.hydra, "10256"]`, `ports = [var.ports.pooler, var.ports.hydra, var.ports.hydra_admin, "10256"]`, "Nothing else reaches Hydra's administration: no load balancer, no health check."},
	{"firewall", "main.tf", `ranges = [var.functions_range], targets = [var.tags.cluster], ports = [var.ports.hydra_admin]`, `ranges = [var.functions_range, var.pods_range], targets = [var.tags.cluster], ports = [var.ports.hydra_admin]`, "Hydra's administration takes functions only."},
	{"firewall", "main.tf", `ranges = local.health_checks, targets = [var.tags.cluster]`, `ranges = concat(local.health_checks, [var.functions_range]), targets = [var.tags.cluster]`, "What browsers see of Hydra is reached by Google's load balancers only."},
	{"firewall", "main.tf", `ranges = local.proxy`, `ranges = [var.functions_range]`, "A shell only through the identity-aware proxy."},
	{"firewall", "main.tf", `targets = [var.tags.functions, var.tags.cluster, var.tags.database, var.tags.consensus], ports = ["443"]`, `targets = [var.tags.functions, var.tags.cluster, var.tags.database, var.tags.consensus], ports = ["80"]`, "The internet is reached on 443 only."},

	{"firewall", "main.tf", `cluster-to-managed = {
      why = "Hydra reaches its database on Cloud SQL, and PgBouncer the functions' where there is no Citus", ranges = [var.managed_range], targets = [var.tags.cluster]`, `cluster-to-managed = {
      why = "Hydra reaches its database on Cloud SQL, and PgBouncer the functions' where there is no Citus", ranges = [var.managed_range], targets = [var.tags.migrator]`, "Beside Citus, Hydra reaches its database on the managed instance."},

	{"firewall", "variables.tf", `can(cidrhost(var.pods_range, 0)) && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.pods_range))`, `can(cidrhost(var.pods_range, 0))`, "var.pods_range, was expected"},
	{"cloudsql", "main.tf", `ipv4_enabled                                  = false`, `ipv4_enabled                                  = true`, "The database has no public address."},
	{"cloudsql", "main.tf", `"ENCRYPTED_ONLY"`, `"ALLOW_UNENCRYPTED_AND_ENCRYPTED"`, "The database takes TLS only."},
	{"cloudsql", "main.tf", `point_in_time_recovery_enabled = true`, `point_in_time_recovery_enabled = false`, "Every moment can be restored."},
	{"cloudsql", "main.tf", `deletion_protection_enabled = var.deletion_protection`, `deletion_protection_enabled = false`, "The database is protected in Terraform and in Google's API."},
	{"cloudsql", "main.tf", `local.wanted <= local.available`, `local.wanted <= local.available * 100`, "google_sql_database_instance.this, was expected"},
	{"cloudsql", "main.tf", `record_client_address = false`, `record_client_address = true`, "Insights keep no addresses."},
	{"cloudsql", "main.tf", `query_insights_enabled  = true`, `query_insights_enabled  = false`, "Query insights are on."},

	{"redis", "main.tf", `"SERVER_AUTHENTICATION"`, `"DISABLED"`, "Redis takes TLS only."},
	{"redis", "main.tf", `auth_enabled            = true`, `auth_enabled            = false`, "Redis asks for a password."},
	{"redis", "main.tf", `"PRIVATE_SERVICE_ACCESS"`, `"DIRECT_PEERING"`, "Redis has an address inside only."},
	{"redis", "variables.tf", `default     = "volatile-ttl"`, `default     = "volatile-lru"`, "Caches are evicted before counters."},

	{"secrets", "main.tf", `"roles/secretmanager.secretAccessor"`, `"roles/secretmanager.admin"`, "Readers read, and nothing else."},
	{"secrets", "main.tf", `gcp-sa-secretmanager`, `gcp-sa-pubsub`, "Secret Manager may announce, and nobody else."},
	{"secrets", "main.tf", `rotation_period    = "${var.rotation_days * 86400}s"`, `rotation_period    = "${var.rotation_days * 96400}s"`, "Secrets are due after 90 days at the latest."},
	{"secrets", "main.tf", `deletion_protection = var.deletion_protection`, `deletion_protection = false`, "Secrets are protected."},

	{"storage", "main.tf", `public_access_prevention    = "enforced"`, `public_access_prevention    = "inherited"`, "Objects are never public."},
	{"storage", "main.tf", `uniform_bucket_level_access = true`, `uniform_bucket_level_access = false`, "Rights are the bucket's: no object has its own."},
	{"storage", "main.tf", `"roles/storage.objectUser"`, `"roles/storage.admin"`, "Functions use objects; the bucket is not theirs."},
	{"storage", "main.tf", `members = ["projectOwner:${var.project_id}"]`, `members = ["projectOwner:${var.project_id}", "projectViewer:${var.project_id}"]`, "Who may view the project reads neither objects nor backups."},
	{"storage", "main.tf", `role = "roles/storage.objectCreator"`, `role = "roles/storage.objectAdmin"`, "Who makes backups cannot delete them."},
	{"storage", "main.tf", `tag_state  = "UNTAGGED"`, `tag_state  = "TAGGED"`, "In dev images that no tag names go after 30 days."},
	{"storage", "main.tf", `with_state                 = "ARCHIVED"`, `age                        = 30`, "In dev neither, an object goes by its age while it is used."},
	{"storage", "variables.tf", `"^[a-z]+-[a-z]+[0-9]{1,2}$"`, `"^[a-z]+"`, "var.region, was expected"},
	{"storage", "main.tf", `immutable_tags = true`, `immutable_tags = false`, "A tag means one image for ever."},

	{"gke", "main.tf", `enable_private_endpoint = true`, `enable_private_endpoint = false`, "Neither nodes nor the control plane have an address outside."},
	{"gke", "main.tf", `"PROJECT_SINGLETON_POLICY_ENFORCE"`, `"DISABLED"`, "Images need the pipeline's signature."},
	{"gke", "main.tf", `"GKE_METADATA"`, `"GCE_METADATA"`, "Pods do not get the node's token."},
	{"gke", "main.tf", `"roles/logging.logWriter", "roles/monitoring.metricWriter"`, `"roles/editor", "roles/monitoring.metricWriter"`, "Nodes write logs and metrics, and nothing else."},

	{"gke", "main.tf", `"roles/stackdriver.resourceMetadata.writer"])`, `"roles/stackdriver.resourceMetadata.writer", "roles/storage.objectViewer"])`, "cluster-nodes may roles/storage.objectViewer on the project, and terraform/access.json does not say so"},

	{"citus", "main.tf", `toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])`, `toset(["roles/logging.logWriter"])`, "terraform/access.json says that citus may roles/monitoring.metricWriter on the project, and nothing grants it"},
	{"citus", "machine.sh", `ssl: "on"`, `ssl: "off"`, "Nodes take TLS only."},
	{"citus", "main.tf", `scope           = var.name`, `scope           = "other"`, "Machines set themselves up."},
	{"citus", "main.tf", `tostring(each.value.number)`, `"0"`, "Patroni knows each machine's group."},
	{"citus", "main.tf", `deletion_protection       = var.deletion_protection`, `deletion_protection       = false`, "Machines are protected."},
	{"citus", "main.tf", "    subnetwork = var.subnetwork\n  }", "    subnetwork = var.subnetwork\n    access_config {}\n  }", "No machine of the database has an address outside."},
	{"citus", "main.tf", `local.clients <= local.pooler_limits`, `local.clients <= local.pooler_limits * 100`, "google_compute_instance.node, was expected"},

	{"function", "main.tf", `: "INGRESS_TRAFFIC_INTERNAL_ONLY"`, `: "INGRESS_TRAFFIC_ALL"`, "A function is reached from inside only."},
	{"function", "main.tf", `count = local.open ? 1 : 0`, `count = 1`, "Not everyone may call."},
	{"function", "main.tf", `path = "/livez"`, `path = "/"`, "A function that hangs is started again."},
	{"function", "main.tf", `invoker_iam_disabled = false`, `invoker_iam_disabled = true`, "Who calls is checked."},
	{"function", "main.tf", `app    = { DATABASE_URL = "database-url" }`, `app    = { DATABASE_URL = "database-url", SYSTEM_DATABASE_URL = "system-database-url" }`, "The role that crosses tenants is not everybody's."},
	{"function", "main.tf", `role      = "roles/secretmanager.secretAccessor"`, `role      = "roles/secretmanager.admin"`, "It reads secrets, and writes none."},
	{"function", "variables.tf", `alltrue([for t in var.further_tags : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", t))])`, `length(var.further_tags) >= 0`, "var.further_tags, was expected"},

	{"router", "main.tf", `ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"`, `ingress              = "INGRESS_TRAFFIC_ALL"`, "The router is reached by the load balancer only."},
	{"router", "main.tf", `    action      = "deny(403)"
    priority    = 150`, `    action      = "allow"
    priority    = 150`, "Methods that no operation has are refused."},
	{"router", "main.tf", `"TLS_1_2"`, `"TLS_1_0"`, "TLS 1.2 at least."},
	{"router", "main.tf", `https_redirect         = true`, `https_redirect         = false`, "Port 80 redirects, and serves nothing."},
	{"router", "main.tf", `egress = "ALL_TRAFFIC"`, `egress = "PRIVATE_RANGES_ONLY"`, "The router's calls go by the network, or functions refuse them."},
	{"router", "main.tf", `load_balancing_scheme           = "EXTERNAL_MANAGED"
  protocol                        = "HTTPS"`, `load_balancing_scheme           = "EXTERNAL_MANAGED"
  protocol                        = "HTTP"`, "TLS goes as far as Hydra's pods, for health checks, too."},
	{"router", "main.tf", `security_policy                 = google_compute_security_policy.this.id`, `security_policy                 = null`, "Cloud Armor is before Hydra as before the router."},
	{"router", "main.tf", `"/oauth2/revoke", "/oauth2/sessions/logout"`, `"/oauth2/register", "/oauth2/revoke", "/oauth2/sessions/logout"`, "The world sees of Hydra what browsers and clients need, and nothing else."},
	{"router", "main.tf", `hosts        = [local.oauth_host]`, `hosts        = ["*.${var.base_domain}"]`, "Hydra has a host of its own, and takes none of the router's."},

	{"pubsub", "main.tf", `ttl = ""`, `ttl = "2678400s"`, "An idle subscription does not expire."},
	{"pubsub", "main.tf", `audience              = each.value.url`, `audience              = "https://example.com"`, "The token is made for the function."},
	{"tasks", "main.tf", `"roles/cloudtasks.enqueuer"`, `"roles/cloudtasks.admin"`, "The relay alone makes tasks."},
	{"scheduler", "main.tf", `for_each = var.schedules`, `for_each = { for n, s in var.schedules : n => s if n != "retention" }`, "Each schedule is there."},
	{"monitoring", "variables.tf", `var.latency_goal >= 0.5 && var.latency_goal < 1`, `var.latency_goal >= 0.5`, "var.latency_goal, was expected"},
	{"monitoring", "main.tf", `validate_ssl = true`, `validate_ssl = false`, "Checks from outside go by TLS and look at the certificate."},
	{"monitoring", "main.tf", `{ host = host, path = "/.well-known/openid-configuration", runbook = "hydra" }`, `{ host = var.host, path = "/.well-known/openid-configuration", runbook = "hydra" }`, "Hydra is asked for by its own name."},
	{"monitoring", "main.tf", `response_code=\"200\"`, `response_code!=\"\"`, "A run that failed is no progress."},
	{"monitoring", "data.tf", `above = 0.85 * var.sql.disk_limit_gb * pow(2, 30)`, `above = 0.85 * var.sql.disk_limit_gb`, "Somebody is told at 85 % of what the disk may grow to."},
	{"monitoring", "data.tf", `reducer = "REDUCE_SUM", by = ["resource.label.database_id"]`, `reducer = "REDUCE_MAX", by = ["resource.label.database_id"]`, "Somebody is told at 80 % of all connections, those of every database."},
	{"monitoring", "data.tf", `if name != "sql-standby" || var.sql.highly_available`, `if true`, "A standby is watched where there is one."},
	{"monitoring", "data.tf", `user_platform_sql_backup`, `user_platform_backup`, "The absence of a backup is told of, as its log counts them."},
	{"monitoring", "data.tf", `stats/memory/usage_ratio", above = 0.85`, `stats/memory/usage_ratio", above = 1.85`, "Redis is told of before it evicts."},
	{"monitoring", "main.tf", `can(each.value.below) ? "COMPARISON_LT"`, `can(each.value.under) ? "COMPARISON_LT"`, "What is down is below one."},
	{"monitoring", "dashboards.tf", `title = "Requests by status", metric = "loadbalancing.googleapis.com/https/request_count"`, `title = "Requests by status", metric = "loadbalancing.googleapis.com/https/request_counts"`, "Every chart draws a metric of the list, a count of the log or an objective, of its own resource."},
	{"monitoring", "dashboards.tf", `title = "Answers 5xx"`, `title = "Requests"`, "No two charts of a dashboard have one title."},
	{"monitoring", "dashboards.tf", `{ title = "Redis: connections", metric = "redis.googleapis.com/clients/connected", fold = "sum" },`, ``, "No metric is listed that nobody looks at."},
	{"monitoring", "dashboards.tf", `for_each = local.dashboards`, `for_each = { for name, d in local.dashboards : name => d if name != "cost" }`, "Every dashboard is there, with every chart."},
	{"budget", "variables.tf", `[0.5, 0.8, 1]`, `[0.5, 1]`, "Somebody is told at 50, 80 and 100 percent."},

	{"delivery", "main.tf", `tags       = [var.tags.migrator]`, `tags       = [var.tags.functions]`, "The firewall lets the migrator past the pooler, by its tag."},
	{"delivery", "main.tf", `egress = "ALL_TRAFFIC"`, `egress = "PRIVATE_RANGES_ONLY"`, "The smoke test's calls go by the network, or functions refuse them."},
	{"delivery", "main.tf", `max_retries           = 0`, `max_retries           = 3`, "A migration that failed is not tried again by itself."},
	{"delivery", "main.tf", `public_access_prevention    = "enforced"`, `public_access_prevention    = "inherited"`, "The note is not public."},

	{"platform", "main.tf", `for_each = local.all

  project_id     = var.project_id`, `for_each = { for name, f in local.all : name => f if name != "activity" }

  project_id     = var.project_id`, "Every function of functions.json is deployed, and no other."},
	{"platform", "main.tf", `} if f.kind == "schedule" }`, `} if f.kind == "schedule" && name != "retention" }`, "Every schedule has its job."},
	{"platform", "main.tf", `} if f.kind == "task" }`, `} if f.kind == "task" && name != "mailer" }`, "Every queue is there."},
	{"platform", "main.tf", `} if f.kind == "pubsub" }`, `} if f.kind == "listener" }`, "Every listener has its subscription."},
	{"platform", "main.tf", `- 1440 :`, `- 720 :`, "Every schedule is watched for silence, for longer than the gap between two runs and half a day more at most."},
	{"platform", "main.tf", `zones               = var.cluster.zones`, `zones               = ["europe-west1-b", "europe-west1-c", "europe-west1-d"]`, "Nodes and machines are in the region that was asked for."},
	{"platform", "main.tf", `tier                = var.database.tier`, `tier                = "db-custom-2-7680"`, "Cloud SQL is there beside Citus: four processors, 15 GB, a standby."},
	{"platform", "main.tf", `production = var.environment == "production"`, `production = var.environment == "prod"`, "Everything is protected in production."},
	{"platform", "main.tf", `each.key == local.signin ?`, `each.value.kind == "http" ?`, "Hydra's administration is reached by the function that signs people in, and by no other."},
	{"platform", "main.tf", `hydra-key             = "hydra"`, `hydra-key             = "pgbouncer"`, "Hydra's secrets are for its pods only."},
	{"platform", "main.tf", `, "oidc-client-secret"]`, `]`, "The secret of our client at Hydra is there, for functions that name it and for nobody else."},
	{"platform", "main.tf", `var.hydra_public ? local.hydra_groups : []`, `[]`, "Browsers find Hydra at its own host, and its administration is inside."},
	{"platform", "main.tf", `&& name != local.rotation])`, `])`, "Functions may what terraform/access.json says, and nothing else."},
	{"platform", "main.tf", `contains(["hop-key", "redis-url", "redis-ca"], s)`, `contains(["hop-key", "redis-url", "redis-ca", "signing-keys"], s)`, "router may roles/secretmanager.secretAccessor on secret signing-keys, and terraform/access.json does not say so"},
	{"platform", "main.tf", `backup_writers = { for c in module.citus : "citus" => c.service_account }`, `backup_writers = merge({ for c in module.citus : "citus" => c.service_account }, { smoke = "smoke-test@${var.project_id}.iam.gserviceaccount.com" })`, "smoke-test may roles/storage.objectViewer on bucket PROJECT-backups, and terraform/access.json does not say so"},
}
