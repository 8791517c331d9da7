output "name" {
  description = "The service."
  value       = google_cloud_run_v2_service.this.name
}

output "url" {
  description = "Its address, which is also what tokens for it are made for."
  value       = local.url
  depends_on  = [google_cloud_run_v2_service_iam_member.caller]
}

output "service_account" {
  description = "Its account."
  value       = local.email
}

output "max_instances" {
  description = "Its instances at most, each of which takes connections and an address."
  value       = google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count
}

output "ingress" {
  description = "From where it can be reached."
  value       = google_cloud_run_v2_service.this.ingress
}

output "tags" {
  description = "The tags by which the firewall knows it."
  value       = google_cloud_run_v2_service.this.template[0].vpc_access[0].network_interfaces[0].tags
}

output "secrets" {
  description = "The secrets that it may read."
  value       = sort(keys(google_secret_manager_secret_iam_member.reader))
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = google_cloud_run_v2_service.this.deletion_protection
}

output "callers" {
  description = "The accounts that may call it."
  value       = sort(concat([for m in google_cloud_run_v2_service_iam_member.caller : trimprefix(m.member, "serviceAccount:")], [for m in google_cloud_run_v2_service_iam_member.everyone : m.member]))
}
