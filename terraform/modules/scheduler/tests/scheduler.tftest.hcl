mock_provider "google" {}

variables {
  project_id = "example-prod"
  region     = "europe-west1"
  invoker    = "push-scheduler@example-prod.iam.gserviceaccount.com"
  schedules = {
    retention   = { cron = "20 2 * * *", timezone = "UTC", url = "https://retention-123456789012.europe-west1.run.app", deadline = "600s" }
    outboxrelay = { cron = "* * * * *", timezone = "Europe/Berlin", url = "https://outboxrelay-123456789012.europe-west1.run.app", deadline = "60s" }
  }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_scheduler_job.this)) == toset(["retention", "outboxrelay"])
    error_message = "Each schedule is there."
  }
  assert {
    condition     = google_cloud_scheduler_job.this["retention"].schedule == "20 2 * * *" && google_cloud_scheduler_job.this["outboxrelay"].time_zone == "Europe/Berlin"
    error_message = "Times are the entry's."
  }
  assert {
    condition     = alltrue([for j in google_cloud_scheduler_job.this : j.http_target[0].oidc_token[0].service_account_email == "push-scheduler@example-prod.iam.gserviceaccount.com"])
    error_message = "Schedules are called with a token."
  }
  assert {
    condition     = alltrue([for j in google_cloud_scheduler_job.this : j.http_target[0].oidc_token[0].audience == j.http_target[0].uri])
    error_message = "The token is made for the function."
  }
  assert {
    condition     = alltrue([for j in google_cloud_scheduler_job.this : j.http_target[0].http_method == "POST"])
    error_message = "Schedules take POST."
  }
  assert {
    condition     = google_cloud_scheduler_job.this["retention"].attempt_deadline == "600s"
    error_message = "A call is given the function's time."
  }
  assert {
    condition     = alltrue([for j in google_cloud_scheduler_job.this : j.paused == false && j.retry_config[0].retry_count == 3])
    error_message = "Schedules run, and failed runs are tried again."
  }
}

run "refuses_plain_http" {
  command = plan
  variables { schedules = { x = { cron = "* * * * *", timezone = "UTC", url = "http://x.example.com", deadline = "60s" } } }
  expect_failures = [var.schedules]
}

run "refuses_a_long_deadline" {
  command = plan
  variables { schedules = { x = { cron = "* * * * *", timezone = "UTC", url = "https://x.example.com", deadline = "3600s" } } }
  expect_failures = [var.schedules]
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
