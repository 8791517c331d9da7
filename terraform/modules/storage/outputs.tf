output "objects_url" {
  description = "What OBJECTS_URL is set to."
  value       = "gs://${google_storage_bucket.objects.name}"
}

output "backups" {
  description = "The bucket of backups."
  value       = google_storage_bucket.backups.name
}

output "images" {
  description = "What image names begin with."
  value       = "${google_artifact_registry_repository.images.location}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "object_writers" {
  description = "Who may use objects."
  value       = sort(keys(google_storage_bucket_iam_member.objects))
}
