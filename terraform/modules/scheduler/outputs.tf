output "jobs" {
  description = "The jobs."
  value       = [for j in google_cloud_scheduler_job.this : j.name]
}
