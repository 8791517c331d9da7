output "network" {
  description = "The network's id. It is there once managed services can be reached in it."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.this]
}

output "network_name" {
  description = "The network's name."
  value       = google_compute_network.this.name
}

output "functions_subnetwork" {
  description = "The subnet of functions."
  value       = google_compute_subnetwork.functions.id
}

output "machines_subnetwork" {
  description = "The subnet of nodes."
  value       = google_compute_subnetwork.machines.id
}

output "functions_range" {
  description = "Addresses of functions."
  value       = google_compute_subnetwork.functions.ip_cidr_range
}

output "machines_range" {
  description = "Addresses of nodes."
  value       = google_compute_subnetwork.machines.ip_cidr_range
}

output "pods_range" {
  description = "Addresses of pods."
  value       = var.pods_range
}

output "managed_range" {
  description = "Addresses of managed databases."
  value       = var.managed_range
}

output "managed_range_name" {
  description = "The name of that range."
  value       = google_compute_global_address.services.name
}

output "pooler_address" {
  description = "The address that PgBouncer's load balancer takes."
  value       = google_compute_address.pooler.address
}

output "pooler_host" {
  description = "The name of that address."
  value       = trimsuffix(google_dns_record_set.pooler.name, ".")
}

output "hydra_host" {
  description = "The name by which functions reach Hydra's administration."
  value       = trimsuffix(google_dns_record_set.hydra.name, ".")
}

output "internal_zone" {
  description = "The zone of names inside."
  value       = google_dns_managed_zone.internal.name
}

output "internal_domain" {
  description = "Its domain."
  value       = var.internal_domain
}
