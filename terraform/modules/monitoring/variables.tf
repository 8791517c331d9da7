variable "project_id" {
  description = "The project."
  type        = string
}

variable "host" {
  description = "The host that is asked from outside."
  type        = string
}

variable "load_balancer" {
  description = "The load balancer's URL map."
  type        = string
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
}

variable "secrets_topic" {
  description = "The topic on which secrets are announced."
  type        = string
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
}

variable "latency_goal" {
  description = "The part of requests that is answered within that."
  type        = number
  default     = 0.95
}
