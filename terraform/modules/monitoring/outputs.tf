output "channels" {
  description = "Who is told."
  value       = [for c in google_monitoring_notification_channel.email : c.id]
}
