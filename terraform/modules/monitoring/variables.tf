variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "host" {
  description = "The host that is asked from outside."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.host))
    error_message = "host is lower-case, without a scheme or a path."
  }
}

variable "oauth_host" {
  description = "The host at which Hydra is asked from outside; null where nobody outside reaches it."
  type        = string
  default     = null

  validation {
    condition     = var.oauth_host == null || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.oauth_host))
    error_message = "oauth_host is lower-case, without a scheme or a path."
  }
}

variable "load_balancer" {
  description = "The load balancer's URL map."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.load_balancer))
    error_message = "load_balancer is the name of a URL map."
  }
}

variable "schedules" {
  description = "Within what time each schedule must have been answered well, in seconds: its longest gap and its lateness."
  type        = map(number)

  validation {
    condition     = alltrue([for d in values(var.schedules) : d >= 300 && d % 60 == 0])
    error_message = "Whole minutes, five at least: figures of Cloud Run are up to three minutes late."
  }
}

variable "dead_letters" {
  description = "The subscription of undeliverable messages."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9._-]{2,254}$", var.dead_letters))
    error_message = "dead_letters is a subscription's name without its project."
  }
}

variable "secrets_topic" {
  description = "The topic on which secrets are announced."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9._-]{2,254}$", var.secrets_topic))
    error_message = "secrets_topic is a topic's name without its project."
  }
}

variable "sql" {
  description = "The managed instance: what its disk may grow to, its connections, and whether another stands by."
  type        = object({ disk_limit_gb = number, max_connections = number, highly_available = bool })
}

variable "emails" {
  description = "Who is told."
  type        = list(string)

  validation {
    condition     = length(var.emails) > 0
    error_message = "An alert that nobody gets is none."
  }
}

variable "runbooks" {
  description = "The address of the folder of runbooks."
  type        = string

  validation {
    condition     = startswith(var.runbooks, "https://")
    error_message = "runbooks is an https address."
  }
}

variable "availability" {
  description = "The part of requests that is answered without a fault of ours."
  type        = number
  default     = 0.999

  validation {
    condition     = var.availability >= 0.9 && var.availability < 1
    error_message = "availability is from 0.9 to below 1."
  }
}

variable "latency_ms" {
  description = "Within how many milliseconds."
  type        = number
  default     = 500

  validation {
    condition     = var.latency_ms >= 10 && var.latency_ms <= 60000
    error_message = "latency_ms is from 10 to 60,000."
  }
}

variable "latency_goal" {
  description = "The part of requests that is answered within that."
  type        = number
  default     = 0.95

  validation {
    condition     = var.latency_goal >= 0.5 && var.latency_goal < 1
    error_message = "latency_goal is from 0.5 to below 1."
  }
}
