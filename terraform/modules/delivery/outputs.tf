output "jobs" {
  description = "The jobs that a release executes."
  value       = [google_cloud_run_v2_job.migrate.name, google_cloud_run_v2_job.smoke.name]
}

output "releases" {
  description = "The bucket with the note of what runs."
  value       = google_storage_bucket.releases.name
}

output "smoke" {
  description = "The account that asks new revisions."
  value       = local.email
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = google_cloud_run_v2_job.migrate.deletion_protection && google_cloud_run_v2_job.smoke.deletion_protection
}
