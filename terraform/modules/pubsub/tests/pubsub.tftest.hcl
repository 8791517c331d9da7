mock_provider "google" {}

variables {
  project_id     = "example-prod"
  project_number = "123456789012"
  region         = "europe-west1"
  publishers     = { outboxrelay = "outboxrelay@example-prod.iam.gserviceaccount.com" }
  invoker        = "push-pubsub@example-prod.iam.gserviceaccount.com"
  consumers = {
    membersync = { topic = "events", url = "https://membersync-123456789012.europe-west1.run.app", ordering = true, max_attempts = 20, min_backoff = "10s", max_backoff = "600s", ack_seconds = 60 }
  }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(google_pubsub_topic.this)) == toset(["events"])
    error_message = "Each topic is there once."
  }
  assert {
    condition     = google_pubsub_topic.this["events"].message_storage_policy[0].allowed_persistence_regions == toset(["europe-west1"])
    error_message = "Messages stay in the region."
  }
  assert {
    condition     = toset([for m in google_pubsub_topic_iam_member.publisher : m.member]) == toset(["serviceAccount:outboxrelay@example-prod.iam.gserviceaccount.com"])
    error_message = "The relay alone publishes."
  }
  assert {
    condition     = google_pubsub_subscription.this["membersync"].push_config[0].oidc_token[0].service_account_email == "push-pubsub@example-prod.iam.gserviceaccount.com"
    error_message = "Messages are pushed with a token."
  }
  assert {
    condition     = google_pubsub_subscription.this["membersync"].push_config[0].oidc_token[0].audience == "https://membersync-123456789012.europe-west1.run.app"
    error_message = "The token is made for the function."
  }
  assert {
    condition     = google_pubsub_subscription.this["membersync"].dead_letter_policy[0].max_delivery_attempts == 20
    error_message = "Attempts are the entry's."
  }
  assert {
    condition     = google_pubsub_subscription.this["membersync"].retry_policy[0].minimum_backoff == "10s" && google_pubsub_subscription.this["membersync"].retry_policy[0].maximum_backoff == "600s"
    error_message = "Pauses are the entry's."
  }
  assert {
    condition     = google_pubsub_subscription.this["membersync"].enable_message_ordering
    error_message = "Order is the entry's."
  }
  assert {
    condition     = alltrue([for s in concat(values(google_pubsub_subscription.this), [google_pubsub_subscription.dead]) : s.expiration_policy[0].ttl == ""])
    error_message = "An idle subscription does not expire."
  }
  assert {
    condition     = google_pubsub_subscription.dead.message_retention_duration == "1209600s"
    error_message = "Dead letters wait for two weeks."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.dead.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub itself moves dead letters."
  }
  assert {
    condition     = google_pubsub_subscription_iam_member.agent["membersync"].role == "roles/pubsub.subscriber"
    error_message = "Pub/Sub may take a dead letter off the subscription."
  }
}

run "refuses_plain_http" {
  command = plan
  variables {
    consumers = { x = { topic = "events", url = "http://x.example.com", ordering = false, max_attempts = 20, min_backoff = "10s", max_backoff = "600s", ack_seconds = 60 } }
  }
  expect_failures = [var.consumers]
}

run "refuses_a_deadline_that_pubsub_does" {
  command = plan
  variables {
    consumers = { x = { topic = "events", url = "https://x.example.com", ordering = false, max_attempts = 20, min_backoff = "10s", max_backoff = "600s", ack_seconds = 5 } }
  }
  expect_failures = [var.consumers]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id     = "X"
    project_number = "example"
    region         = "europe"
    invoker        = "allUsers"
  }
  expect_failures = [var.project_id, var.project_number, var.region, var.invoker]
}
