output "name" {
  description = "The instance's name."
  value       = google_sql_database_instance.this.name
}

output "address" {
  description = "Its address in the network."
  value       = google_sql_database_instance.this.private_ip_address
}

output "connection_name" {
  description = "PROJECT:REGION:NAME."
  value       = google_sql_database_instance.this.connection_name
}

output "server_ca" {
  description = "What its certificate is checked with."
  # The provider hides it with the keys beside it; an authority is public.
  value = nonsensitive(google_sql_database_instance.this.server_ca_cert[*].cert)
}

output "connections" {
  description = "The budget: what may be opened, and what there is."
  value = {
    pooler  = { wanted = local.wanted, available = local.available }
    clients = { wanted = local.clients, available = local.pooler_limits }
  }
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
}

output "size" {
  description = "Its machine, and whether another stands by."
  value = {
    tier             = google_sql_database_instance.this.settings[0].tier
    highly_available = google_sql_database_instance.this.settings[0].availability_type == "REGIONAL"
  }
}

output "disk_limit_gb" {
  description = "What its disk may grow to."
  value       = google_sql_database_instance.this.settings[0].disk_autoresize_limit
}
