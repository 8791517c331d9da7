package terraform

// Mutations are mistakes that a module's tests must notice, by a message of
// their own: those of one module are made all at once.
var Mutations = []Mutation{

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

	{"storage", "main.tf", `public_access_prevention    = "enforced"`, `public_access_prevention    = "inherited"`, "Objects are never public."},
	{"storage", "main.tf", `uniform_bucket_level_access = true`, `uniform_bucket_level_access = false`, "Rights are the bucket's: no object has its own."},
	{"storage", "main.tf", `"roles/storage.objectUser"`, `"roles/storage.admin"`, "Functions use objects; the bucket is not theirs."},
	{"storage", "main.tf", `role = "roles/storage.objectCreator"`, `role = "roles/storage.objectAdmin"`, "Who makes backups cannot delete them."},
	{"storage", "main.tf", `immutable_tags = true`, `immutable_tags = false`, "A tag means one image for ever."},
}
