# The secrets as Secret Manager knows them, who may read each, and who may add a
# version. Values come from elsewhere: the rotation function, the pipeline, people.
# Those that Terraform itself knows (Redis) are written without being kept in its
# state a second time.

locals {
  readers = merge([for name, s in var.secrets : {
    for who, email in s.readers : "${name}/${who}" => { secret = name, email = email }
  }]...)
  writers = merge([for name, s in var.secrets : {
    for who, email in s.writers : "${name}/${who}" => { secret = name, email = email }
  }]...)
}

# Secret Manager announces here that a secret is due.
resource "google_pubsub_topic" "due" {
  project                    = var.project_id
  name                       = "secrets-due"
  labels                     = var.labels
  message_retention_duration = "604800s"
}

resource "google_pubsub_topic_iam_member" "due" {
  project = var.project_id
  topic   = google_pubsub_topic.due.name
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:service-${var.project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
}

resource "google_secret_manager_secret" "this" {
  for_each = var.secrets

  project             = var.project_id
  secret_id           = each.key
  labels              = var.labels
  deletion_protection = var.deletion_protection

  replication {
    # In the region: copies elsewhere would be outside of what tenants were told.
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  topics {
    name = google_pubsub_topic.due.id
  }

  rotation {
    rotation_period    = "${var.rotation_days * 86400}s"
    next_rotation_time = timeadd(plantimestamp(), "${var.rotation_days * 24}h")
  }

  # What was disabled by mistake can be had back for that long.
  version_destroy_ttl = "604800s"

  lifecycle {
    # It moves by itself.
    ignore_changes = [rotation[0].next_rotation_time]
  }

  depends_on = [google_pubsub_topic_iam_member.due]
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.readers

  project   = var.project_id
  secret_id = google_secret_manager_secret.this[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${each.value.email}"
}

resource "google_secret_manager_secret_iam_member" "writer" {
  for_each = local.writers

  project   = var.project_id
  secret_id = google_secret_manager_secret.this[each.value.secret].secret_id
  role      = "roles/secretmanager.secretVersionAdder"
  member    = "serviceAccount:${each.value.email}"
}

resource "google_secret_manager_secret_version" "known" {
  for_each = var.known

  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = var.values[each.key]
  secret_data_wo_version = each.value
}

# The announcements go to the function that makes the next version.
resource "google_pubsub_subscription" "rotation" {
  count = var.rotation == null ? 0 : 1

  project                    = var.project_id
  name                       = "secrets-due-rotation"
  topic                      = google_pubsub_topic.due.id
  labels                     = var.labels
  filter                     = "attributes.eventType = \"SECRET_ROTATE\""
  ack_deadline_seconds       = 600
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = var.rotation.url

    oidc_token {
      service_account_email = var.rotation.invoker
      audience              = var.rotation.url
    }
  }

  retry_policy {
    minimum_backoff = "60s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }
}
