mock_provider "google" {}

variables {
  project_id     = "example-prod"
  region         = "europe-west1"
  origins        = ["https://app.example.com"]
  object_writers = { attachments = "attachments@example-prod.iam.gserviceaccount.com", retention = "retention@example-prod.iam.gserviceaccount.com" }
  backup_writers = { citus = "citus@example-prod.iam.gserviceaccount.com" }
  image_readers  = { nodes = "cluster-nodes@example-prod.iam.gserviceaccount.com" }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_storage_bucket.objects.public_access_prevention == "enforced"
    error_message = "Objects are never public."
  }
  assert {
    condition     = google_storage_bucket.backups.public_access_prevention == "enforced"
    error_message = "Backups are never public."
  }
  assert {
    condition     = google_storage_bucket.objects.uniform_bucket_level_access && google_storage_bucket.backups.uniform_bucket_level_access
    error_message = "Rights are the bucket's: no object has its own."
  }
  assert {
    condition     = google_storage_bucket.objects.versioning[0].enabled
    error_message = "What is overwritten can be had back."
  }
  assert {
    condition     = google_storage_bucket.objects.force_destroy == false && google_storage_bucket.backups.force_destroy == false
    error_message = "A bucket with content is not deleted."
  }
  assert {
    condition     = google_storage_bucket.objects.soft_delete_policy[0].retention_duration_seconds == 604800
    error_message = "A deleted object can be had back for a week, and then no longer."
  }
  assert {
    condition     = length([for r in google_storage_bucket.objects.lifecycle_rule : r if one([for c in r.condition : c.age]) != null && one([for a in r.action : a.type]) == "Delete"]) == 0
    error_message = "No object goes by its age."
  }
  assert {
    condition     = google_storage_bucket.backups.retention_policy[0].retention_period >= 604800
    error_message = "Nobody deletes a backup of this week."
  }
  assert {
    condition     = one([for r in google_storage_bucket.backups.lifecycle_rule : one([for c in r.condition : c.age])]) > 7
    error_message = "A backup outlives what is restored from it."
  }
  assert {
    condition     = google_storage_bucket.objects.cors[0].origin == tolist(["https://app.example.com"])
    error_message = "Only our pages use signed links."
  }
  assert {
    condition     = toset(keys(google_storage_bucket_iam_member.objects)) == toset(["attachments", "retention"])
    error_message = "Only who was named reaches objects."
  }
  assert {
    condition     = alltrue([for m in google_storage_bucket_iam_member.objects : m.role == "roles/storage.objectUser"])
    error_message = "Functions use objects; the bucket is not theirs."
  }
  assert {
    condition     = toset([for m in google_storage_bucket_iam_member.backups : m.role]) == toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])
    error_message = "Who makes backups cannot delete them."
  }
  assert {
    condition     = toset([for b in google_storage_bucket_iam_binding.viewers : b.bucket if b.role == "roles/storage.legacyObjectReader" && b.members == toset(["projectOwner:example-prod"])]) == toset(["example-prod-objects", "example-prod-backups"])
    error_message = "Who may view the project reads neither objects nor backups."
  }
  assert {
    condition     = google_artifact_registry_repository.images.docker_config[0].immutable_tags
    error_message = "A tag means one image for ever."
  }
  assert {
    condition     = google_artifact_registry_repository.images.vulnerability_scanning_config[0].enablement_config == "INHERITED"
    error_message = "Images are scanned."
  }
  assert {
    condition     = alltrue([for m in google_artifact_registry_repository_iam_member.reader : m.role == "roles/artifactregistry.reader"])
    error_message = "Who runs images does not write them."
  }
  assert {
    condition     = output.objects_url == "gs://example-prod-objects"
    error_message = "Functions know the bucket by its address."
  }
}

run "dev" {
  command = plan
  variables { unused_days = 30 }

  assert {
    condition     = [for p in google_artifact_registry_repository.images.cleanup_policies : p.condition[0].older_than if try(p.condition[0].tag_state, "") == "UNTAGGED" && p.action == "DELETE"] == ["2592000s"]
    error_message = "In dev images that no tag names go after 30 days."
  }
  assert {
    condition     = length([for p in google_artifact_registry_repository.images.cleanup_policies : p if p.action == "KEEP" && try(p.most_recent_versions[0].keep_count, 0) == 20]) == 1
    error_message = "What runs stays: the newest of each name."
  }
  assert {
    condition     = length([for r in google_storage_bucket.objects.lifecycle_rule : r if one([for c in r.condition : c.age]) != null && one([for a in r.action : a.type]) == "Delete"]) == 0
    error_message = "In dev neither, an object goes by its age while it is used."
  }
}

run "refuses_every_origin" {
  command = plan
  variables { origins = ["*"] }
  expect_failures = [var.origins]
}

run "refuses_short_retention" {
  command = plan
  variables { backup_days = 1 }
  expect_failures = [var.backup_days]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id        = "X"
    region            = "europe"
    access_log_bucket = "gs://logs"
  }
  expect_failures = [var.project_id, var.region, var.access_log_bucket]
}
