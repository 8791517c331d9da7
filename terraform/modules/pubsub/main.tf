# Topics and the functions that listen to them. A message that a function cannot
# take ends on a topic of dead letters, where it stays for two weeks and an alert
# stands; the platform's own dead letters are rows (docs/jobs.md), so this is for
# what never reached it.

locals {
  agent  = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  topics = toset([for c in values(var.consumers) : c.topic])
}

resource "google_pubsub_topic" "this" {
  for_each = local.topics

  project                    = var.project_id
  name                       = each.value
  labels                     = var.labels
  message_retention_duration = "604800s"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = merge([for t in local.topics : { for who, email in var.publishers : "${t}/${who}" => { topic = t, email = email } }]...)

  project = var.project_id
  topic   = google_pubsub_topic.this[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${each.value.email}"
}

resource "google_pubsub_topic" "dead" {
  project                    = var.project_id
  name                       = "dead-letters"
  labels                     = var.labels
  message_retention_duration = "1209600s"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

resource "google_pubsub_topic_iam_member" "dead" {
  project = var.project_id
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.agent
}

# Without one, what arrives there is gone.
resource "google_pubsub_subscription" "dead" {
  project                    = var.project_id
  name                       = "dead-letters"
  topic                      = google_pubsub_topic.dead.id
  labels                     = var.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "1209600s"
  retain_acked_messages      = true

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "this" {
  for_each = var.consumers

  project                    = var.project_id
  name                       = each.key
  topic                      = google_pubsub_topic.this[each.value.topic].id
  labels                     = var.labels
  enable_message_ordering    = each.value.ordering
  ack_deadline_seconds       = each.value.ack_seconds
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = each.value.url

    oidc_token {
      service_account_email = var.invoker
      audience              = each.value.url
    }
  }

  retry_policy {
    minimum_backoff = each.value.min_backoff
    maximum_backoff = each.value.max_backoff
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = each.value.max_attempts
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_pubsub_topic_iam_member.dead]
}

resource "google_pubsub_subscription_iam_member" "agent" {
  for_each = var.consumers

  project      = var.project_id
  subscription = google_pubsub_subscription.this[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.agent
}
