variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number, which is in the service's address."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
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

variable "function" {
  description = "An entry of functions/functions.json."
  type = object({
    name      = string
    folder    = string
    kind      = string
    raw       = optional(bool, false)
    secrets   = list(string)
    invokers  = list(string)
    database  = string
    resources = object({ cpu = string, memory = string, concurrency = number, min = number, max = number, timeout = string })
  })

  validation {
    condition     = contains(["http", "task", "pubsub", "schedule"], var.function.kind)
    error_message = "kind must be http, task, pubsub or schedule."
  }
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,26}$", var.function.name))
    error_message = "The name must be lower-case letters and digits, 27 at most: its account is called fn-NAME, of 30."
  }
  validation {
    condition     = alltrue([for i in var.function.invokers : contains(["router", "cloudtasks", "pubsub", "scheduler", "everyone"], i)])
    error_message = "invokers must be of router, cloudtasks, pubsub, scheduler, everyone."
  }
  validation {
    condition     = contains(["none", "app", "system", "both"], var.function.database)
    error_message = "database must be none, app, system or both."
  }
}

variable "image" {
  description = "The image that the service begins with, by digest. The pipeline deploys the next ones."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "An image is named by its digest: a tag can mean another one tomorrow."
  }
}

variable "invokers" {
  description = "The account of each kind of caller."
  type        = map(string)

  validation {
    condition     = alltrue([for e in values(var.invokers) : endswith(e, ".gserviceaccount.com")])
    error_message = "Only service accounts call functions."
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

variable "further_tags" {
  description = "Tags by which the firewall lets it reach what other functions cannot."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for t in var.further_tags : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", t))])
    error_message = "Each of further_tags is lower-case letters, digits and hyphens."
  }
}

variable "timeout" {
  description = "After which the platform ends a request, in seconds."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]{0,3}s$", var.timeout)) && try(tonumber(trimsuffix(var.timeout, "s")) <= 3600, false)
    error_message = "timeout is 1s to 3600s."
  }
}

variable "redis" {
  description = "Whether the function is given Redis."
  type        = bool
  default     = true
}

variable "env" {
  description = "Variables of the environment, without secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = length([for n in keys(var.env) : n if contains(["DATABASE_URL", "SYSTEM_DATABASE_URL", "REDIS_URL", "MAIL_URL"], n)]) == 0
    error_message = "Addresses with passwords are secrets."
  }
}

variable "secret_versions" {
  description = "Versions of secrets that are variables; the newest when an instance starts, where none is given."
  type        = map(string)
  default     = {}
}

variable "secret_ids" {
  description = "The secrets by name, as the secrets module gives them: it does so once their readers may read."
  type        = map(string)
  default     = {}
}

variable "project_roles" {
  description = "Roles in the project, for what only a project grants."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setintersection(var.project_roles, ["roles/owner", "roles/editor", "roles/viewer"])) == 0
    error_message = "No basic roles."
  }
}

variable "min_instances_limit" {
  description = "Instances kept at most, where an environment saves."
  type        = number
  default     = 1000

  validation {
    condition     = var.min_instances_limit >= 0 && floor(var.min_instances_limit) == var.min_instances_limit
    error_message = "min_instances_limit is 0 or more."
  }
}

variable "max_instances_limit" {
  description = "Instances at most, where an environment saves."
  type        = number
  default     = 1000

  validation {
    condition     = var.max_instances_limit >= 1 && var.max_instances_limit <= 1000 && floor(var.max_instances_limit) == var.max_instances_limit
    error_message = "max_instances_limit is from 1 to 1,000."
  }
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
