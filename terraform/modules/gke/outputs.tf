output "name" {
  description = "The cluster's name."
  value       = google_container_cluster.this.name
}

output "location" {
  description = "Its region or zone."
  value       = google_container_cluster.this.location
}

output "node_service_account" {
  description = "The account of nodes."
  value       = local.nodes
}

output "workload_service_accounts" {
  description = "The accounts of workloads."
  value       = { for name, a in google_service_account.workload : name => "${a.account_id}@${var.project_id}.iam.gserviceaccount.com" }
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = google_container_cluster.this.deletion_protection
}

output "size" {
  description = "Its zones and nodes, and whether an upgrade can go back."
  value = {
    zones      = length(var.zones)
    min_nodes  = sum([for p in google_container_node_pool.this : p.autoscaling[0].total_min_node_count])
    max_nodes  = sum([for p in google_container_node_pool.this : p.autoscaling[0].total_max_node_count])
    blue_green = alltrue([for p in google_container_node_pool.this : p.upgrade_settings[0].strategy == "BLUE_GREEN"])
  }
}
