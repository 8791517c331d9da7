# A Cloud Scheduler job for each function of kind schedule.

resource "google_cloud_scheduler_job" "this" {
  for_each = var.schedules

  project          = var.project_id
  region           = var.region
  name             = each.key
  description      = "Calls schedulers/${each.key}"
  schedule         = each.value.cron
  time_zone        = each.value.timezone
  attempt_deadline = each.value.deadline
  paused           = var.paused

  # A run that could not be, or was not finished, is called again soon; after that
  # the next one makes up for it.
  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
    max_backoff_duration = "300s"
    max_doublings        = 3
  }

  http_target {
    uri         = each.value.url
    http_method = "POST"

    oidc_token {
      service_account_email = var.invoker
      audience              = each.value.url
    }
  }
}
