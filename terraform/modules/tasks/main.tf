# A Cloud Tasks queue for each function of kind task. The relay makes the tasks,
# each with a token of the account that functions know as Cloud Tasks.

resource "google_cloud_tasks_queue" "this" {
  for_each = var.queues

  project  = var.project_id
  location = var.region
  # A name is taken for days after its queue was deleted: it is the list's, and
  # follows from nothing that changes.
  name          = each.key
  desired_state = "RUNNING"

  rate_limits {
    max_dispatches_per_second = each.value.rate
    max_concurrent_dispatches = each.value.concurrency
  }

  retry_config {
    max_attempts       = each.value.max_attempts
    min_backoff        = each.value.min_backoff
    max_backoff        = each.value.max_backoff
    max_retry_duration = each.value.max_age
    max_doublings      = 5
  }

  stackdriver_logging_config {
    # Failures are logged in any case; of the rest a tenth tells what happened.
    sampling_ratio = 0.1
  }
}

resource "google_cloud_tasks_queue_iam_member" "enqueuer" {
  for_each = merge([for q in keys(var.queues) : { for who, email in var.enqueuers : "${q}/${who}" => { queue = q, email = email } }]...)

  project  = var.project_id
  location = var.region
  name     = google_cloud_tasks_queue.this[each.value.queue].name
  role     = "roles/cloudtasks.enqueuer"
  member   = "serviceAccount:${each.value.email}"
}

# Who makes a task with somebody's token must be allowed to act as them.
resource "google_service_account_iam_member" "enqueuer" {
  for_each = var.enqueuers

  service_account_id = "projects/${var.project_id}/serviceAccounts/${var.invoker}"
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${each.value}"
}
