mock_provider "google" {
  mock_data "google_kms_crypto_key_version" {
    defaults = { public_key = [{ algorithm = "EC_SIGN_P256_SHA256", pem = "pem" }] }
  }
}

variables {
  project_id     = "example-prod"
  project_number = "123456789012"
  region         = "europe-west1"
  environment    = "production"
  repository     = "example/platform"
  state_bucket   = "example-prod-terraform"
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = length(google_project_service.this) >= 25 && alltrue([for s in google_project_service.this : s.disable_on_destroy == false])
    error_message = "Every API is on, and taking the module away switches none off."
  }
  assert {
    condition     = google_project_default_service_accounts.this.action == "DEPRIVILEGE"
    error_message = "The default accounts may nothing."
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.github.attribute_condition == "assertion.repository == 'example/platform'"
    error_message = "Only this repository's runs may sign in."
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.github.oidc[0].issuer_uri == "https://token.actions.githubusercontent.com"
    error_message = "The tokens are GitHub's."
  }
  assert {
    condition     = endswith(google_service_account_iam_member.deployer.member, "/subject/repo:example/platform:environment:production")
    error_message = "Only a run in the protected environment may apply."
  }
  assert {
    condition     = startswith(google_service_account_iam_member.deployer.member, "principal://")
    error_message = "The deployer is one subject, not a set."
  }
  assert {
    condition     = endswith(google_service_account_iam_member.planner.member, "/attribute.repository/example/platform")
    error_message = "Plans are made by this repository's runs alone."
  }
  assert {
    condition     = alltrue([for m in google_project_iam_member.planner : can(regex("([vV]iewer|[rR]eviewer)$", m.role))])
    error_message = "The planner changes nothing."
  }
  assert {
    condition     = length([for m in google_project_iam_member.deployer : m if contains(["roles/owner", "roles/editor"], m.role)]) == 0
    error_message = "The deployer is neither owner nor editor."
  }
  assert {
    condition     = google_storage_bucket_iam_member.state["planner"].role == "roles/storage.objectViewer"
    error_message = "The planner does not write state."
  }
  assert {
    condition     = google_kms_crypto_key.signing.purpose == "ASYMMETRIC_SIGN"
    error_message = "Images are signed with a key pair."
  }
  assert {
    condition     = google_binary_authorization_policy.this.default_admission_rule[0].evaluation_mode == "REQUIRE_ATTESTATION"
    error_message = "An image needs the pipeline's signature."
  }
  assert {
    condition     = google_binary_authorization_policy.this.default_admission_rule[0].enforcement_mode == "ENFORCED_BLOCK_AND_AUDIT_LOG"
    error_message = "An image without it is refused, not only logged."
  }
  assert {
    condition     = length(google_binary_authorization_policy.this.admission_whitelist_patterns) == 0
    error_message = "No image is exempt."
  }
  assert {
    condition     = length(setsubtract(["containerscanning.googleapis.com", "iap.googleapis.com"], keys(google_project_service.this))) == 0
    error_message = "Images are scanned, and shells go through the identity-aware proxy: their APIs are on."
  }
  assert {
    condition     = contains(keys(google_project_iam_audit_config.this), "secretmanager.googleapis.com")
    error_message = "Who reads secrets is in the audit log."
  }
  assert {
    condition     = alltrue([for c in google_project_iam_audit_config.this : toset(c.audit_log_config[*].log_type) == toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])])
    error_message = "Reading and writing are logged."
  }
}

run "refuses_a_pattern_of_repositories" {
  command = plan
  variables { repository = "example/*" }
  expect_failures = [var.repository]
}

run "refuses_an_editor" {
  command = plan
  variables { deployer_roles = ["roles/editor"] }
  expect_failures = [var.deployer_roles]
}

run "refuses_a_planner_that_writes" {
  command = plan
  variables { planner_roles = ["roles/run.admin"] }
  expect_failures = [var.planner_roles]
}

run "refuses_nonsense" {
  command = plan
  variables {
    region       = "europe"
    state_bucket = "gs://state"
  }
  expect_failures = [var.region, var.state_bucket]
}
