output "ids" {
  description = "The secrets' names, once those who read them may."
  value       = { for name, s in google_secret_manager_secret.this : name => s.secret_id }
  depends_on  = [google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.known]
}

output "readers" {
  description = "The accounts, beside those of functions, that read each secret."
  value       = { for name in keys(var.secrets) : name => sort([for m in google_secret_manager_secret_iam_member.reader : split("@", trimprefix(m.member, "serviceAccount:"))[0] if m.secret_id == name]) }
}

output "topic" {
  description = "Where secrets are announced as due."
  value       = google_pubsub_topic.due.name
}

output "deletion_protection" {
  description = "Whether what it made is protected from deletion."
  value       = alltrue([for s in google_secret_manager_secret.this : s.deletion_protection])
}
