variable "project_id" {
  description = "The project."
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

variable "name" {
  description = "What the load balancer's parts are called."
  type        = string
  default     = "edge"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.name))
    error_message = "name is 30 lower-case letters, digits and hyphens at most, and begins with a letter."
  }
}

variable "environment" {
  description = "dev, staging or production."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "environment must be dev, staging or production."
  }
}

variable "image" {
  description = "The image that the service begins with, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "An image is named by its digest: a tag can mean another one tomorrow."
  }
}

variable "base_domain" {
  description = "The host under which tenants have their subdomains."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.base_domain))
    error_message = "base_domain is a host name in lower case."
  }
}

variable "origins" {
  description = "Web origins whose pages call the API."
  type        = list(string)

  validation {
    condition     = alltrue([for o in var.origins : can(regex("^https://[a-z0-9.-]+$", o))])
    error_message = "Origins are https://HOST, without a pattern."
  }
}

variable "upstreams" {
  description = "The functions' addresses, by name."
  type        = map(string)

  validation {
    condition     = alltrue([for u in values(var.upstreams) : startswith(u, "https://")])
    error_message = "Functions are called over TLS."
  }
}

variable "relay_url" {
  description = "The address of the relay of the outbox."
  type        = string

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+$", var.relay_url))
    error_message = "relay_url is an origin: https and a host."
  }
}

variable "webhooks" {
  description = "Functions that everyone may call, by name: the Cloud Run service and the path."
  type        = map(object({ service = string, path = string }))
  default     = {}

  validation {
    condition     = alltrue([for w in values(var.webhooks) : can(regex("^/api/v1/webhooks/[a-z]+/$", w.path))])
    error_message = "A webhook's path is /api/v1/webhooks/NAME/."
  }
}

variable "hydra_groups" {
  description = "The groups of endpoints in which the cluster keeps Hydra's pods, one for each zone. None: nobody outside reaches Hydra."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for g in var.hydra_groups : can(regex("^projects/[^/]+/zones/[^/]+/networkEndpointGroups/[^/]+$", g))])
    error_message = "A group is projects/PROJECT/zones/ZONE/networkEndpointGroups/NAME."
  }
}

variable "network" {
  description = "The network it goes out by."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/global/networks/[^/]+$", var.network))
    error_message = "network is projects/PROJECT/global/networks/NAME."
  }
}

variable "subnetwork" {
  description = "The subnet it takes its addresses from."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.subnetwork))
    error_message = "subnetwork is projects/PROJECT/regions/REGION/subnetworks/NAME."
  }
}

variable "network_tag" {
  description = "The tag that the firewall knows functions by."
  type        = string
  default     = "functions"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.network_tag))
    error_message = "network_tag is lower-case letters, digits and hyphens."
  }
}

variable "min_instances" {
  description = "Instances that are always there. One at least: limits are leased by a process."
  type        = number
  default     = 1

  validation {
    condition     = var.min_instances >= 1
    error_message = "The router is never without an instance."
  }
}

variable "max_instances" {
  description = "Instances at most."
  type        = number
  default     = 50

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances is from 1 to 1,000."
  }
}

variable "requests_per_minute" {
  description = "Requests of one address that pass; three times that and it is banned for five minutes."
  type        = number
  default     = 3000

  validation {
    condition     = var.requests_per_minute >= 100 && var.requests_per_minute <= 10000
    error_message = "From 100, below which offices behind one address are locked out, to 10,000."
  }
}

variable "owasp_preview" {
  description = "Whether OWASP's rules only log. True for the first days of an environment."
  type        = bool
  default     = false
}

variable "log_sample" {
  description = "The part of requests that the load balancer logs."
  type        = number
  default     = 1

  validation {
    condition     = var.log_sample > 0 && var.log_sample <= 1
    error_message = "log_sample is a part: above 0, and 1 at most."
  }
}

variable "env" {
  description = "Further variables of the environment, without secrets."
  type        = map(string)
  default     = {}
}

variable "secret_versions" {
  description = "Versions of secrets that are variables."
  type        = map(string)
  default     = {}
}

variable "secret_ids" {
  description = "The secrets by name, as the secrets module gives them: it does so once their readers may read."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
