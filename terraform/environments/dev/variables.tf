variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
  }
}

variable "region" {
  description = "The region."
  type        = string
  default     = "europe-west1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "repository" {
  description = "OWNER/NAME of the repository whose pipeline deploys."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be OWNER/NAME."
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

variable "base_domain" {
  description = "The host under which tenants have their subdomains."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.base_domain))
    error_message = "base_domain is a host: lower-case, without a scheme or a path."
  }
}

variable "app_url" {
  description = "The web application."
  type        = string

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", var.app_url))
    error_message = "app_url is an origin: https and a host, without a path or a slash."
  }
}

variable "mail_from" {
  description = "Whom mails are from."
  type        = string

  validation {
    condition     = can(regex("^([^<>@]+ <[^<>@ ]+@[a-z0-9.-]+>|[^<>@ ]+@[a-z0-9.-]+)$", var.mail_from))
    error_message = "mail_from is an address, or NAME <ADDRESS>."
  }
}

variable "emails" {
  description = "Who is told of alerts."
  type        = list(string)
}

variable "billing_account" {
  description = "The billing account."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account is three times six digits of base 16."
  }
}

variable "images" {
  description = "The image, by digest, that each function, the router and the migrations begin with."
  type        = map(string)
}

variable "hydra_public" {
  description = "Whether the load balancer leads to Hydra: not before the cluster was deployed for the first time (docs/infrastructure.md)."
  type        = bool
  default     = true
}
