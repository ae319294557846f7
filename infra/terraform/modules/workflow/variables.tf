variable "prefix" {
  description = "Begins the names of state machines and roles: <lake>-<environment>."
  type        = string

  validation {
    condition     = length(var.prefix) <= 41
    error_message = "The prefix is at most 41 characters, so that role names fit into 64."
  }
}

variable "environment" {
  description = "The environment that executions name in what they tell."
  type        = string
}

variable "document" {
  description = "The text of ingest.asl.json."
  type        = string

  validation {
    condition     = can(jsondecode(var.document).States.Configure.Result)
    error_message = "The workflow document is JSON with a state Configure that has a Result."
  }
}

variable "datasets" {
  description = "The job and the crawlers that load a dataset."
  type = map(object({
    id                = string
    job               = string
    raw_crawler       = string
    processed_crawler = string
  }))

  validation {
    condition     = alltrue([for dataset in var.datasets : length(dataset.id) + length(var.prefix) <= 72])
    error_message = "The name of a state machine has at most 80 characters: shorten the dataset's path."
  }
}

variable "processed" {
  description = "The processed bucket."
  type        = object({ name = string, arn = string })
}

variable "topic_arn" {
  description = "Where loads and failures are told."
  type        = string
}

variable "metadata_sync" {
  description = "crawler or direct: whether executions wait for crawls."
  type        = string

  validation {
    condition     = contains(["crawler", "direct"], var.metadata_sync)
    error_message = "metadata_sync is crawler or direct."
  }
}

variable "settle_seconds" {
  description = "Pause before the first look at a crawl."
  type        = number

  validation {
    condition     = var.settle_seconds >= 1
    error_message = "A crawl's StartTime is cut to whole seconds: wait for at least one."
  }
}

variable "poll_seconds" {
  description = "Pause between two looks at a running crawl."
  type        = number

  validation {
    condition     = var.poll_seconds >= 1
    error_message = "Look again after one second at the earliest."
  }
}

variable "log_level" {
  description = "ALL, ERROR or FATAL."
  type        = string

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL"], var.log_level)
    error_message = "log_level is ALL, ERROR or FATAL."
  }
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number

  validation {
    condition     = var.log_days >= 1
    error_message = "Logs are kept for at least one day."
  }
}
