output "topics" {
  description = "The topics."
  value       = sort(tolist(local.topics))
}

output "subscriptions" {
  description = "The subscriptions of functions."
  value       = [for s in google_pubsub_subscription.this : s.name]
}

output "dead_letters" {
  description = "The subscription in which undeliverable messages wait."
  value       = google_pubsub_subscription.dead.name
}

output "publishers" {
  description = "The accounts that publish."
  value       = sort(distinct([for m in google_pubsub_topic_iam_member.publisher : trimprefix(m.member, "serviceAccount:")]))
}
