mock_provider "google" {}

variables {
  project_id = "example-prod"
  region     = "europe-west1"
  image      = "europe-west1-docker.pkg.dev/example-prod/images/migrate@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  migrator   = "migrator@example-prod.iam.gserviceaccount.com"
  services   = { tasks = "tasks", mailer = "mailer" }
  network    = "projects/example-prod/global/networks/coditect"
  subnetwork = "projects/example-prod/regions/europe-west1/subnetworks/coditect-functions"
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_storage_bucket.releases.name == "example-prod-releases" && google_storage_bucket.releases.versioning[0].enabled
    error_message = "What runs, and what ran, is noted."
  }
  assert {
    condition     = google_storage_bucket.releases.public_access_prevention == "enforced" && google_storage_bucket.releases.uniform_bucket_level_access
    error_message = "The note is not public."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrate.template[0].template[0].service_account == "migrator@example-prod.iam.gserviceaccount.com"
    error_message = "Migrations run as the migrator."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrate.template[0].template[0].vpc_access[0].network_interfaces[0].tags == tolist(["migrator"])
    error_message = "The firewall lets the migrator past the pooler, by its tag."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrate.template[0].template[0].max_retries == 0
    error_message = "A migration that failed is not tried again by itself."
  }
  assert {
    condition     = toset([for e in google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].env : e.name if length(e.value_source) > 0]) == toset(["MIGRATE_DATABASE_URL"])
    error_message = "The migrator's address comes from Secret Manager, and no other secret."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].env : e.value if e.name == "SSL_CERT_DIR"]) == google_cloud_run_v2_job.migrate.template[0].template[0].containers[0].volume_mounts[0].mount_path
    error_message = "It can check the database's certificate."
  }
  assert {
    condition     = google_cloud_run_v2_job.smoke.template[0].template[0].vpc_access[0].egress == "ALL_TRAFFIC"
    error_message = "The smoke test's calls go by the network, or functions refuse them."
  }
  assert {
    condition     = google_cloud_run_v2_job.smoke.template[0].template[0].service_account == "smoke-test@example-prod.iam.gserviceaccount.com" && length(google_cloud_run_v2_job.smoke.template[0].template[0].containers[0].env) == 0
    error_message = "The smoke test has an account of its own, and no secrets."
  }
  assert {
    condition     = google_cloud_run_v2_job.smoke.template[0].template[0].containers[0].command == tolist(["/smoke"])
    error_message = "It is the image's other program."
  }
  assert {
    condition     = toset([for m in google_cloud_run_v2_service_iam_member.smoke : "${m.name} ${m.role}"]) == toset(["tasks roles/run.invoker", "mailer roles/run.invoker"])
    error_message = "It may call each function, and nothing else."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrate.binary_authorization[0].use_default && google_cloud_run_v2_job.smoke.binary_authorization[0].use_default
    error_message = "The images of jobs are checked too."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrate.deletion_protection && google_cloud_run_v2_job.smoke.deletion_protection
    error_message = "The jobs are protected."
  }
}

run "refuses_a_tag" {
  command = plan
  variables { image = "europe-west1-docker.pkg.dev/example-prod/images/migrate:latest" }
  expect_failures = [var.image]
}

run "refuses_the_tag_of_functions" {
  command = plan
  variables { tags = { migrator = "functions", functions = "functions" } }
  expect_failures = [var.tags]
}

run "refuses_people" {
  command = plan
  variables { migrator = "ada@example.com" }
  expect_failures = [var.migrator]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id = "X"
    region     = "europe"
    network    = "default"
    subnetwork = "default"
  }
  expect_failures = [var.project_id, var.region, var.network, var.subnetwork]
}
