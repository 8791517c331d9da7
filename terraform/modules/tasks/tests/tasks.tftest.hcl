mock_provider "google" {}

variables {
  project_id = "example-prod"
  region     = "europe-west1"
  enqueuers  = { outboxrelay = "outboxrelay@example-prod.iam.gserviceaccount.com" }
  invoker    = "push-cloudtasks@example-prod.iam.gserviceaccount.com"
  queues = {
    mail    = { max_attempts = 4, min_backoff = "1s", max_backoff = "300s", max_age = "86400s", rate = 50, concurrency = 20 }
    exports = { max_attempts = 4, min_backoff = "5s", max_backoff = "300s", max_age = "86400s", rate = 2, concurrency = 10 }
  }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_tasks_queue.this)) == toset(["mail", "exports"])
    error_message = "Each queue is there."
  }
  assert {
    condition     = google_cloud_tasks_queue.this["mail"].rate_limits[0].max_dispatches_per_second == 50 && google_cloud_tasks_queue.this["mail"].rate_limits[0].max_concurrent_dispatches == 20
    error_message = "Rate and concurrency are the entry's."
  }
  assert {
    condition     = google_cloud_tasks_queue.this["mail"].retry_config[0].max_attempts == 4
    error_message = "One attempt and three retries."
  }
  assert {
    condition     = google_cloud_tasks_queue.this["exports"].retry_config[0].min_backoff == "5s" && google_cloud_tasks_queue.this["exports"].retry_config[0].max_backoff == "300s"
    error_message = "Pauses are the entry's."
  }
  assert {
    condition     = google_cloud_tasks_queue.this["mail"].retry_config[0].max_retry_duration == "86400s"
    error_message = "A task ends after a day."
  }
  assert {
    condition     = google_cloud_tasks_queue.this["mail"].desired_state == "RUNNING"
    error_message = "Queues run."
  }
  assert {
    condition     = alltrue([for m in google_cloud_tasks_queue_iam_member.enqueuer : m.role == "roles/cloudtasks.enqueuer" && m.member == "serviceAccount:outboxrelay@example-prod.iam.gserviceaccount.com"])
    error_message = "The relay alone makes tasks."
  }
  assert {
    condition     = google_service_account_iam_member.enqueuer["outboxrelay"].service_account_id == "projects/example-prod/serviceAccounts/push-cloudtasks@example-prod.iam.gserviceaccount.com"
    error_message = "The relay acts as that one account."
  }
}

run "refuses_tasks_without_end" {
  command = plan
  variables { queues = { mail = { max_attempts = -1, min_backoff = "1s", max_backoff = "300s", max_age = "86400s", rate = 50, concurrency = 20 } } }
  expect_failures = [var.queues]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id = "X"
    region     = "europe"
    invoker    = "allUsers"
  }
  expect_failures = [var.project_id, var.region, var.invoker]
}
