variable "project_id" {
  description = "The project. It exists already, with billing."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number, by which identity pools are named."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
  }
}

variable "region" {
  description = "Where the signing key is kept."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "environment" {
  description = "dev, staging or production: also the name of the pipeline's protected environment."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "environment must be dev, staging or production."
  }
}

variable "repository" {
  description = "OWNER/NAME of the repository whose pipeline may sign in."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be OWNER/NAME: a pattern or a whole owner would let others' pipelines in."
  }
}

variable "state_bucket" {
  description = "The bucket of Terraform's state."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket is a name without gs://."
  }
}

variable "apis" {
  description = "The APIs that are switched on."
  type        = set(string)
  default = [
    "artifactregistry.googleapis.com", "billingbudgets.googleapis.com", "binaryauthorization.googleapis.com", "certificatemanager.googleapis.com",
    "cloudbuild.googleapis.com", "cloudkms.googleapis.com", "cloudresourcemanager.googleapis.com", "cloudscheduler.googleapis.com", "cloudtasks.googleapis.com",
    "compute.googleapis.com", "container.googleapis.com", "containeranalysis.googleapis.com", "containerscanning.googleapis.com", "dns.googleapis.com",
    "iam.googleapis.com", "iamcredentials.googleapis.com", "iap.googleapis.com", "logging.googleapis.com", "monitoring.googleapis.com", "pubsub.googleapis.com", "redis.googleapis.com",
    "run.googleapis.com", "secretmanager.googleapis.com", "servicenetworking.googleapis.com", "sqladmin.googleapis.com", "storage.googleapis.com",
    "sts.googleapis.com",
  ]

  validation {
    condition     = alltrue([for a in var.apis : endswith(a, ".googleapis.com")])
    error_message = "An API is named SERVICE.googleapis.com."
  }
}

variable "planner_roles" {
  description = "What the account may that plans. It reads, and no secrets."
  type        = set(string)
  default     = ["roles/viewer", "roles/iam.securityReviewer"]

  validation {
    condition     = alltrue([for r in var.planner_roles : can(regex("([vV]iewer|[rR]eviewer)$", r))])
    error_message = "The planner reads only: roles that end in viewer or reviewer."
  }
}

variable "deployer_roles" {
  description = "What the account may that applies. Neither owner nor editor: each service by itself."
  type        = set(string)
  default = [
    "roles/artifactregistry.admin", "roles/binaryauthorization.attestorsAdmin", "roles/binaryauthorization.policyEditor", "roles/certificatemanager.editor",
    "roles/cloudbuild.builds.editor", "roles/cloudkms.admin", "roles/cloudscheduler.admin", "roles/cloudsql.admin", "roles/cloudtasks.admin",
    "roles/containeranalysis.notes.editor", "roles/containeranalysis.occurrences.editor", "roles/compute.instanceAdmin.v1", "roles/compute.loadBalancerAdmin", "roles/compute.networkAdmin", "roles/compute.securityAdmin",
    "roles/container.admin", "roles/dns.admin", "roles/iam.serviceAccountAdmin", "roles/iam.serviceAccountUser", "roles/iam.workloadIdentityPoolAdmin", "roles/logging.configWriter",
    "roles/logging.logWriter", "roles/monitoring.editor", "roles/servicenetworking.networksAdmin",
    "roles/pubsub.admin", "roles/redis.admin", "roles/resourcemanager.projectIamAdmin", "roles/run.admin", "roles/secretmanager.admin", "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
  ]

  validation {
    condition     = length(setintersection(var.deployer_roles, ["roles/owner", "roles/editor"])) == 0
    error_message = "The deployer is neither owner nor editor."
  }
}

variable "enforce_signatures" {
  description = "Whether an image without the pipeline's signature is refused, or only logged."
  type        = bool
  default     = true
}
