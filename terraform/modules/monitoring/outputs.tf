output "progress" {
  description = "Within how many seconds each schedule must have been answered well."
  value       = { for name, a in google_monitoring_alert_policy.progress : name => tonumber(regex("\\[([0-9]+)s\\]", a.conditions[0].condition_prometheus_query_language[0].query)[0]) }
}

output "channels" {
  description = "Who is told."
  value       = [for c in google_monitoring_notification_channel.email : c.id]
}

output "alerts" {
  description = "What is watched of the stores."
  value       = sort(concat(keys(google_monitoring_alert_policy.threshold), keys(google_monitoring_alert_policy.query)))
}

output "checks" {
  description = "What is asked from outside."
  value       = sort([for c in google_monitoring_uptime_check_config.this : c.display_name])
}
