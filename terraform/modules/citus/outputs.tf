output "address" {
  description = "The address that leads to the coordinator, whichever machine it is."
  value       = google_compute_forwarding_rule.coordinator.ip_address
}

output "service_account" {
  description = "The machines' account."
  value       = local.email
}

output "connections" {
  description = "The budget: what may be opened, and what there is."
  value = {
    pooler  = { wanted = local.pooled, available = local.available }
    clients = { wanted = local.clients, available = local.pooler_limits }
  }
}

output "zones" {
  description = "The zones of its machines."
  value       = sort(distinct([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : i.zone]))
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = alltrue([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : i.deletion_protection])
}

output "size" {
  description = "Its groups of machines beside the coordinator's, and how many machines a group has."
  value       = { workers = length(local.groups) - 1, machines = length(google_compute_instance.node) / length(local.groups) }
}
