output "rules" {
  description = "The names of the rules that allow something, with their reasons."
  value       = { for r in concat(values(google_compute_firewall.ingress), values(google_compute_firewall.egress)) : r.name => r.description }
}

output "ports" {
  description = "The ports."
  value       = var.ports
}

output "tags" {
  description = "The tags of the roles."
  value       = var.tags
}
