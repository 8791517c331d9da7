variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number, by which Google names the cluster's own account."
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

variable "zones" {
  description = "The zones of nodes: three, or one where an environment saves."
  type        = list(string)

  validation {
    condition     = contains([1, 3], length(var.zones)) && length(distinct(var.zones)) == length(var.zones)
    error_message = "Three zones or one."
  }
}

variable "name" {
  description = "The cluster's name."
  type        = string
  default     = "coditect"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.name))
    error_message = "name is 30 lower-case letters, digits and hyphens at most, and begins with a letter."
  }
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
  description = "The subnet of nodes, with ranges called pods and services."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.subnetwork))
    error_message = "subnetwork is projects/PROJECT/regions/REGION/subnetworks/NAME."
  }
}

variable "network_tag" {
  description = "The tag that the firewall knows nodes by."
  type        = string
  default     = "cluster"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.network_tag))
    error_message = "network_tag is lower-case letters, digits and hyphens."
  }
}

variable "control_plane_range" {
  description = "Addresses of the control plane."
  type        = string
  default     = "10.0.17.0/28"

  validation {
    condition     = can(cidrhost(var.control_plane_range, 0)) && endswith(var.control_plane_range, "/28")
    error_message = "control_plane_range is a /28."
  }
}

variable "pools" {
  description = "The pools of nodes, by name, each from min to max over all zones; a dedicated one is tainted."
  type        = map(object({ machine = optional(string, "n2-standard-4"), min = number, max = number, dedicated = optional(bool, false) }))

  validation {
    condition     = sum([for p in values(var.pools) : p.max]) <= 100
    error_message = "A hundred nodes at most: the ranges of pods and machines are made for that."
  }
  validation {
    condition     = alltrue([for p in values(var.pools) : p.min >= 1 && p.min <= p.max])
    error_message = "min is 1 at least and not above max."
  }
  validation {
    condition     = anytrue([for p in values(var.pools) : !p.dedicated])
    error_message = "A pool without a taint is needed for what the cluster itself runs."
  }
}

variable "workloads" {
  description = "What has a Google account in the cluster: the service account of Kubernetes, and its namespace."
  type        = map(string)
  default     = {}
}

variable "release_channel" {
  description = "How early versions come."
  type        = string
  default     = "REGULAR"

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE"], var.release_channel)
    error_message = "release_channel is RAPID, REGULAR or STABLE."
  }
}

variable "blue_green" {
  description = "Whether an upgrade makes new nodes beside the old and goes back if they are bad."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the cluster."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
