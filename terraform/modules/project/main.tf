# What a project needs before anything else is made in it: APIs, the accounts of
# the delivery pipeline and how it signs in without keys, the key that signs
# images, and the audit log.

locals {
  # Written out instead of read from the resource, so that a plan shows who gets
  # what; the reference to account_id keeps the order.
  planner  = "serviceAccount:${google_service_account.planner.account_id}@${var.project_id}.iam.gserviceaccount.com"
  deployer = "serviceAccount:${google_service_account.deployer.account_id}@${var.project_id}.iam.gserviceaccount.com"
  migrator = "serviceAccount:${google_service_account.migrator.account_id}@${var.project_id}.iam.gserviceaccount.com"
}

resource "google_project_service" "this" {
  for_each = var.apis

  project = var.project_id
  service = each.value
  # Switching an API off deletes what was made by it, also by others.
  disable_on_destroy = false
}

# The default accounts of Compute Engine and App Engine are editors: whatever runs
# without an account of its own could change everything.
resource "google_project_default_service_accounts" "this" {
  project        = var.project_id
  action         = "DEPRIVILEGE"
  restore_policy = "NONE"

  depends_on = [google_project_service.this]
}

resource "google_service_account" "planner" {
  project      = var.project_id
  account_id   = "terraform-plan"
  display_name = "Reads the project to plan changes of it"

  depends_on = [google_project_service.this]
}

resource "google_service_account" "deployer" {
  project      = var.project_id
  account_id   = "terraform-apply"
  display_name = "Applies approved changes and deploys releases"

  depends_on = [google_project_service.this]
}

resource "google_service_account" "migrator" {
  project      = var.project_id
  account_id   = "migrator"
  display_name = "Migrates the database before a release takes traffic"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "planner" {
  for_each = var.planner_roles

  project = var.project_id
  role    = each.value
  member  = local.planner
}

resource "google_project_iam_member" "deployer" {
  for_each = var.deployer_roles

  project = var.project_id
  role    = each.value
  member  = local.deployer
}

resource "google_storage_bucket_iam_member" "state" {
  for_each = {
    # A plan takes no lock: it is made with -lock=false.
    planner  = { member = local.planner, role = "roles/storage.objectViewer" }
    deployer = { member = local.deployer, role = "roles/storage.objectAdmin" }
  }

  bucket = var.state_bucket
  role   = each.value.role
  member = each.value.member
}

# Workload identity federation: the pipeline shows a token that the forge signed
# for the run. There is no key that could leak.
resource "google_iam_workload_identity_pool" "ci" {
  project                   = var.project_id
  workload_identity_pool_id = "ci"
  display_name              = "Delivery pipeline"
  description               = "Runs of ${var.repository}"

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  attribute_mapping = {
    "google.subject"        = "assertion.sub"
    "attribute.repository"  = "assertion.repository"
    "attribute.environment" = "assertion.environment"
  }
  # Everybody's runs are signed by the same issuer. Without this any repository
  # could ask.
  attribute_condition = "assertion.repository == '${var.repository}'"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "planner" {
  service_account_id = google_service_account.planner.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/projects/${var.project_number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool.ci.workload_identity_pool_id}/attribute.repository/${var.repository}"
}

# Only runs in the protected environment of that name, which somebody approved.
resource "google_service_account_iam_member" "deployer" {
  service_account_id = google_service_account.deployer.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/projects/${var.project_number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool.ci.workload_identity_pool_id}/subject/repo:${var.repository}:environment:${var.environment}"
}

# The signature that an image needs to run here: made by the pipeline after its
# checks, asked for by binary authorization.
resource "google_kms_key_ring" "signing" {
  project  = var.project_id
  name     = "image-signing"
  location = var.region

  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "signing" {
  name     = "images"
  key_ring = google_kms_key_ring.signing.id
  purpose  = "ASYMMETRIC_SIGN"

  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = "SOFTWARE"
  }

  lifecycle {
    # Without it no image that was signed so far would start again.
    prevent_destroy = true
  }
}

data "google_kms_crypto_key_version" "signing" {
  crypto_key = google_kms_crypto_key.signing.id
}

resource "google_kms_crypto_key_iam_member" "deployer" {
  crypto_key_id = google_kms_crypto_key.signing.id
  role          = "roles/cloudkms.signerVerifier"
  member        = local.deployer
}

resource "google_container_analysis_note" "built" {
  project = var.project_id
  name    = "built-by-ci"

  attestation_authority {
    hint {
      human_readable_name = "Built and tested by the delivery pipeline"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_binary_authorization_attestor" "built" {
  project = var.project_id
  name    = "built-by-ci"

  attestation_authority_note {
    note_reference = google_container_analysis_note.built.name

    public_keys {
      id = data.google_kms_crypto_key_version.signing.id

      pkix_public_key {
        public_key_pem      = data.google_kms_crypto_key_version.signing.public_key[0].pem
        signature_algorithm = "ECDSA_P256_SHA256"
      }
    }
  }
}

# For Cloud Run and the cluster alike: nothing runs that the pipeline did not
# sign, save what Google itself runs on nodes.
resource "google_binary_authorization_policy" "this" {
  project                       = var.project_id
  description                   = "Images of the delivery pipeline only"
  global_policy_evaluation_mode = "ENABLE"

  default_admission_rule {
    evaluation_mode         = "REQUIRE_ATTESTATION"
    enforcement_mode        = var.enforce_signatures ? "ENFORCED_BLOCK_AND_AUDIT_LOG" : "DRYRUN_AUDIT_LOG_ONLY"
    require_attestations_by = [google_binary_authorization_attestor.built.name]
  }
}

resource "google_project_iam_audit_config" "this" {
  for_each = toset(["secretmanager.googleapis.com", "iam.googleapis.com", "cloudkms.googleapis.com", "sqladmin.googleapis.com"])

  project = var.project_id
  service = each.value

  audit_log_config {
    log_type = "ADMIN_READ"
  }
  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
}
