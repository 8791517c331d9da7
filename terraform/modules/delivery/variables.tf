variable "project_id" {
  description = "The project. The bucket is named after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "The region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "image" {
  description = "The image of the migrations and the smoke test that the jobs begin with, by digest. The pipeline brings the next ones."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "An image is named by its digest: a tag can mean another one tomorrow."
  }
}

variable "migrator" {
  description = "The account that migrates."
  type        = string

  validation {
    condition     = endswith(var.migrator, ".gserviceaccount.com")
    error_message = "Migrations run as a service account."
  }
}

variable "services" {
  description = "The services that are asked before they get traffic, by name."
  type        = map(string)
}

variable "network" {
  description = "The network."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/global/networks/[^/]+$", var.network))
    error_message = "network is projects/PROJECT/global/networks/NAME."
  }
}

variable "subnetwork" {
  description = "The subnet that jobs take their addresses from."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.subnetwork))
    error_message = "subnetwork is projects/PROJECT/regions/REGION/subnetworks/NAME."
  }
}

variable "tags" {
  description = "The tags that the firewall knows the jobs by."
  type        = object({ migrator = string, functions = string })
  default     = { migrator = "migrator", functions = "functions" }

  validation {
    condition     = var.tags.migrator != var.tags.functions
    error_message = "Functions do not go past the pooler, so the migrator has a tag of its own."
  }
}

variable "secret_ids" {
  description = "The secrets by name, as the secrets module gives them: it does so once their readers may read."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the jobs."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
