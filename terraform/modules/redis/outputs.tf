output "host" {
  description = "Its address in the network."
  value       = google_redis_instance.this.host
}

output "port" {
  description = "Its port: 6378, as it takes TLS only."
  value       = google_redis_instance.this.port
}

output "url" {
  description = "What REDIS_URL is set to, password included."
  value       = "rediss://:${google_redis_instance.this.auth_string}@${google_redis_instance.this.host}:${google_redis_instance.this.port}/0"
  sensitive   = true
}

output "server_ca" {
  description = "What its certificate is checked with: the present authority and the next."
  value       = join("\n", google_redis_instance.this.server_ca_certs[*].cert)
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = google_redis_instance.this.deletion_protection
}

output "size" {
  description = "Its memory, and whether it has a replica."
  value       = { memory_gb = google_redis_instance.this.memory_size_gb, highly_available = google_redis_instance.this.tier == "STANDARD_HA" }
}
