variable "prefix" {
  description = "Begins the names of rules, queue and role: <lake>-<environment>."
  type        = string

  validation {
    condition     = length(var.prefix) <= 41
    error_message = "The prefix is at most 41 characters, so that role names fit into 64."
  }
}

variable "raw" {
  description = "The raw bucket."
  type        = object({ name = string, arn = string })
}

variable "state_machines" {
  description = "The state machine that a dataset's landed files start, by dataset."
  type        = map(string)

  validation {
    condition = alltrue(flatten([
      for one in keys(var.state_machines) : [for other in keys(var.state_machines) : !startswith(one, "${other}/")]
    ]))
    error_message = "A dataset lies in the folder of another, whose rule would match its files too: an event pattern has no words for 'but not there'. Move one of the two contracts."
  }

  validation {
    condition     = alltrue([for one in keys(var.state_machines) : length(one) + length(var.prefix) <= 56])
    error_message = "The name of a rule has at most 64 characters: shorten the dataset's path."
  }
}

variable "retry" {
  description = "How long and how often EventBridge tries to start an execution."
  type = object({
    max_age_seconds = number
    max_attempts    = number
  })

  validation {
    condition     = var.retry.max_age_seconds >= 60 && var.retry.max_age_seconds <= 86400 && var.retry.max_attempts <= 185
    error_message = "60 to 86400 seconds, at most 185 times."
  }
}
