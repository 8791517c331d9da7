mock_provider "google" {
  mock_resource "google_secret_manager_secret" {
    defaults = { id = "projects/example-prod/secrets/redis-url" }
  }
}

variables {
  project_id     = "example-prod"
  project_number = "123456789012"
  region         = "europe-west1"
  secrets = {
    hop-key = {
      readers = { tasks = "tasks@example-prod.iam.gserviceaccount.com", users = "users@example-prod.iam.gserviceaccount.com" }
      writers = { rotation = "rotation@example-prod.iam.gserviceaccount.com" }
    }
    redis-url = { readers = { tasks = "tasks@example-prod.iam.gserviceaccount.com" } }
  }
  known    = { redis-url = 1 }
  values   = { redis-url = "rediss://:password@10.16.0.3:6378/0" }
  rotation = { url = "https://rotation-123456789012.europe-west1.run.app", invoker = "push-pubsub@example-prod.iam.gserviceaccount.com" }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(google_secret_manager_secret.this)) == toset(["hop-key", "redis-url"])
    error_message = "Each secret is there."
  }
  assert {
    condition     = alltrue([for s in google_secret_manager_secret.this : tonumber(trimsuffix(s.rotation[0].rotation_period, "s")) <= 90 * 86400])
    error_message = "Secrets are due after 90 days at the latest."
  }
  assert {
    condition     = alltrue([for s in google_secret_manager_secret.this : length(s.topics) == 1])
    error_message = "A secret that is due is announced."
  }
  assert {
    condition     = alltrue([for s in google_secret_manager_secret.this : s.replication[0].user_managed[0].replicas[0].location == "europe-west1" && length(s.replication[0].auto) == 0])
    error_message = "Secrets stay in the region."
  }
  assert {
    condition     = alltrue([for s in google_secret_manager_secret.this : s.deletion_protection])
    error_message = "Secrets are protected."
  }
  assert {
    condition     = alltrue([for s in google_secret_manager_secret.this : s.version_destroy_ttl == "604800s"])
    error_message = "A destroyed version can be had back for a week."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.due.member == "serviceAccount:service-123456789012@gcp-sa-secretmanager.iam.gserviceaccount.com" && google_pubsub_topic_iam_member.due.role == "roles/pubsub.publisher"
    error_message = "Secret Manager may announce, and nobody else."
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.reader)) == toset(["hop-key/tasks", "hop-key/users", "redis-url/tasks"])
    error_message = "Who reads a secret is who was named."
  }
  assert {
    condition     = alltrue([for m in google_secret_manager_secret_iam_member.reader : m.role == "roles/secretmanager.secretAccessor"])
    error_message = "Readers read, and nothing else."
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.writer)) == toset(["hop-key/rotation"])
    error_message = "Only the rotation adds versions."
  }
  assert {
    condition     = alltrue([for m in google_secret_manager_secret_iam_member.writer : m.role == "roles/secretmanager.secretVersionAdder"])
    error_message = "Who adds versions neither reads nor destroys by it."
  }
  assert {
    condition     = google_pubsub_subscription.rotation[0].push_config[0].push_endpoint == "https://rotation-123456789012.europe-west1.run.app"
    error_message = "The rotation function is told."
  }
  assert {
    condition     = google_pubsub_subscription.rotation[0].push_config[0].oidc_token[0].service_account_email == "push-pubsub@example-prod.iam.gserviceaccount.com"
    error_message = "It is called with a token."
  }
  assert {
    condition     = google_pubsub_subscription.rotation[0].expiration_policy[0].ttl == ""
    error_message = "An idle subscription does not expire: secrets are due every three months."
  }
  assert {
    condition     = google_pubsub_subscription.rotation[0].filter == "attributes.eventType = \"SECRET_ROTATE\""
    error_message = "Only what is due calls it."
  }
  assert {
    condition     = google_secret_manager_secret_version.known["redis-url"].secret_data == null
    error_message = "A value is written and not kept in the state."
  }
}

run "refuses_late_rotation" {
  command = plan
  variables { rotation_days = 91 }
  expect_failures = [var.rotation_days]
}

run "refuses_people" {
  command = plan
  variables { secrets = { hop-key = { readers = { ada = "ada@example.com" } } } }
  expect_failures = [var.secrets]
}

run "refuses_plain_http" {
  command = plan
  variables { rotation = { url = "http://rotation.example.com", invoker = "push-pubsub@example-prod.iam.gserviceaccount.com" } }
  expect_failures = [var.rotation]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id     = "X"
    project_number = "example"
    region         = "europe"
  }
  expect_failures = [var.project_id, var.project_number, var.region]
}
