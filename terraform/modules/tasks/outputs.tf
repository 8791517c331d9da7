output "queues" {
  description = "The queues."
  value       = [for q in google_cloud_tasks_queue.this : q.name]
}

output "enqueuers" {
  description = "Who makes tasks, and acts as who calls them."
  value       = sort(keys(google_service_account_iam_member.enqueuer))
}
