output "ids" {
  description = "The secrets' names, once those who read them may."
  value       = { for name, s in google_secret_manager_secret.this : name => s.secret_id }
  depends_on  = [google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.known]
}

output "topic" {
  description = "Where secrets are announced as due."
  value       = google_pubsub_topic.due.name
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = alltrue([for s in google_secret_manager_secret.this : s.deletion_protection])
}
