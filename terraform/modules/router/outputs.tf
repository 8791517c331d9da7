output "address" {
  description = "Where the domain and its subdomains lead."
  value       = google_compute_global_address.this.address
}

output "oauth_url" {
  description = "Where Hydra is for browsers, and whom its tokens are from; null where nobody outside reaches it."
  value       = length(google_compute_backend_service.hydra) == 0 ? null : "https://${local.oauth_host}"
}

output "oauth_host" {
  description = "The host of oauth_url."
  value       = length(google_compute_backend_service.hydra) == 0 ? null : local.oauth_host
}

output "service_account" {
  description = "The router's account."
  value       = local.email
}

output "dns_authorization" {
  description = "The record that proves the domain to be ours."
  value       = google_certificate_manager_dns_authorization.this.dns_resource_record
}

output "max_instances" {
  description = "Instances at most."
  value       = google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count
}

output "ingress" {
  description = "From where it can be reached."
  value       = google_cloud_run_v2_service.this.ingress
}

output "load_balancer" {
  description = "The load balancer's URL map, by which its metrics are found."
  value       = google_compute_url_map.this.name
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = google_cloud_run_v2_service.this.deletion_protection
}
