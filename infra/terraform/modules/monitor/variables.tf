variable "prefix" {
  description = "Begins the names of alarms, and names the dashboard: <lake>-<environment>."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z_-]{1,128}$", var.prefix))
    error_message = "The name of a dashboard is letters, digits, hyphens and underscores."
  }
}

variable "topic_arn" {
  description = "Where alarms are told."
  type        = string
}

variable "state_machines" {
  description = "The state machine of every dataset."
  type        = map(string)
}

variable "jobs" {
  description = "The job's name of every dataset."
  type        = map(string)
}

variable "rules" {
  description = "The event rule's name of every dataset."
  type        = map(string)
}

variable "queue" {
  description = "The dead-letter queue."
  type        = object({ name = string, url = string })
}

variable "stale_hours" {
  description = "Hours without a successful execution after which a dataset counts as stale; 0 for never."
  type        = number

  validation {
    condition     = var.stale_hours >= 0 && var.stale_hours <= 168
    error_message = "0 to 168 hours."
  }
}
