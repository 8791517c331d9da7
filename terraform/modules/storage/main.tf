# What is kept as files: objects of tenants (attachments, exports, reports),
# backups of the database, and the images that are deployed.

locals {
  objects = "${var.project_id}-objects"
  backups = "${var.project_id}-backups"
}

resource "google_storage_bucket" "objects" {
  project                     = var.project_id
  name                        = local.objects
  location                    = var.region
  storage_class               = "STANDARD"
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # The platform deletes for good what is due (docs/schedules.md); until then a
  # mistake can be taken back.
  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 7
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 2
    }
  }

  # Browsers upload and download by signed links.
  cors {
    origin          = var.origins
    method          = ["GET", "HEAD", "PUT"]
    response_header = ["Content-Type", "Content-Disposition", "ETag", "x-goog-content-length-range"]
    max_age_seconds = 3600
  }

  dynamic "logging" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]
    content {
      log_bucket = logging.value
    }
  }
}

resource "google_storage_bucket" "backups" {
  project                     = var.project_id
  name                        = local.backups
  location                    = var.region
  storage_class               = "NEARLINE"
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # Who gets hold of the database's account can neither delete nor overwrite what
  # it wrote; the bucket itself ends what is older.
  retention_policy {
    retention_period = var.backup_days * 86400
    is_locked        = false
  }

  soft_delete_policy {
    retention_duration_seconds = 1209600
  }

  # The oldest moment that can be restored needs the full backup before it.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.backup_days + 2
    }
  }
}

# Objects are made, read and deleted; the bucket itself is not touched.
resource "google_storage_bucket_iam_member" "objects" {
  for_each = var.object_writers

  bucket = google_storage_bucket.objects.name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${each.value}"
}

# Backups are made and read. Deleting is the retention's.
resource "google_storage_bucket_iam_member" "backups" {
  for_each = merge([for who, email in var.backup_writers : {
    "${who}/create" = { email = email, role = "roles/storage.objectCreator" }
    "${who}/read"   = { email = email, role = "roles/storage.objectViewer" }
  }]...)

  bucket = google_storage_bucket.backups.name
  role   = each.value.role
  member = "serviceAccount:${each.value.email}"
}

# By this role Google gives each new bucket's objects to all who may view the project,
# such as the account that plans, as which any run of the repository acts. The binding
# is all that there is of the role; owners have more anyway.
resource "google_storage_bucket_iam_binding" "viewers" {
  for_each = { objects = google_storage_bucket.objects.name, backups = google_storage_bucket.backups.name }

  bucket  = each.value
  role    = "roles/storage.legacyObjectReader"
  members = ["projectOwner:${var.project_id}"]
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project_id
  location      = var.region
  repository_id = "images"
  description   = "Images of functions, deployed by digest"
  format        = "DOCKER"
  labels        = var.labels

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  cleanup_policy_dry_run = false

  # What is kept is kept whatever another policy says: an image that runs is among
  # the newest of its name.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 20
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "15552000s"
    }
  }

  dynamic "cleanup_policies" {
    for_each = var.unused_days == null ? [] : [var.unused_days]
    content {
      id     = "delete-untagged"
      action = "DELETE"
      condition {
        tag_state  = "UNTAGGED"
        older_than = "${cleanup_policies.value * 86400}s"
      }
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  for_each = var.image_readers

  project    = var.project_id
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.repository_id
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${each.value}"
}
