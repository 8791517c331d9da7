output "queues" {
  description = "The queues."
  value       = [for q in google_cloud_tasks_queue.this : q.name]
}
