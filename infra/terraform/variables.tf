variable "lake_dir" {
  description = "The lake's folder: contracts/, workflow/ingest.asl.json and queries/ are read from it, the same files that run embedded."
  type        = string

  validation {
    condition     = fileexists("${var.lake_dir}/workflow/ingest.asl.json")
    error_message = "There is no workflow/ingest.asl.json in lake_dir: write a lake with `lakehead init`."
  }

  validation {
    condition     = length(fileset("${var.lake_dir}/contracts", "**/*.odcs.yaml")) > 0
    error_message = "There is no contracts/**/*.odcs.yaml in lake_dir: each describes one dataset."
  }

  validation {
    condition = length([
      for file in fileset("${var.lake_dir}/contracts", "**") : file
      if can(regex("\\.(yaml|yml|odcs\\.json)$", file)) && !endswith(file, ".odcs.yaml") && !startswith(basename(file), ".")
    ]) == 0
    error_message = "A deployed contract ends in .odcs.yaml: rename the others, for embedded they are contracts too."
  }
}

variable "name" {
  description = "The lake's name, [lake] name in lakehead.toml: begins the names of buckets, database and roles."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.name))
    error_message = "A name is at most 20 of a-z, 0-9 and hyphen."
  }
}

variable "environment" {
  description = "The environment, as in [env.NAME] of lakehead.toml."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.environment))
    error_message = "An environment is at most 20 of a-z, 0-9 and hyphen."
  }
}

variable "buckets" {
  description = "Names of the three buckets. By default <name>-datalake-<raw|processed|artifacts>-<environment>."
  type = object({
    raw       = optional(string)
    processed = optional(string)
    artifacts = optional(string)
  })
  default = {}

  validation {
    condition     = alltrue([for bucket in values(var.buckets) : bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "A bucket name is 3 to 63 of a-z, 0-9, hyphen and dot."
  }
}

variable "metadata_sync" {
  description = "How the catalog learns of new rows: crawler (two crawls, shared by files that land together) or direct (the job registers tables and partitions itself)."
  type        = string
  default     = "crawler"

  validation {
    condition     = contains(["crawler", "direct"], var.metadata_sync)
    error_message = "metadata_sync is crawler or direct."
  }
}

variable "poll_seconds" {
  description = "Pause between two looks at a running crawl."
  type        = number
  default     = 20

  validation {
    condition     = var.poll_seconds >= 1 && var.poll_seconds <= 3600 && floor(var.poll_seconds) == var.poll_seconds
    error_message = "poll_seconds is a whole number from 1 to 3600: with 0 a crawl of minutes would use up an execution's 25,000 events."
  }
}

variable "settle_seconds" {
  description = "Pause before the first look at a crawl. A crawl's StartTime is cut to whole seconds on AWS, so 2 is the least that is safe."
  type        = number
  default     = 2

  validation {
    condition     = var.settle_seconds >= 1 && var.settle_seconds <= 60 && floor(var.settle_seconds) == var.settle_seconds
    error_message = "settle_seconds is a whole number from 1 to 60."
  }
}

variable "job" {
  description = "The ETL job: local paths of the packaged script and of its bundle (a zip of wheels), and the size of its runs."
  type = object({
    script              = string
    bundle              = string
    glue_version        = optional(string, "5.0")
    worker_type         = optional(string, "G.1X")
    workers             = optional(number, 2)
    timeout_minutes     = optional(number, 60)
    max_concurrent_runs = optional(number, 20)
  })

  validation {
    condition     = fileexists(var.job.script) && fileexists(var.job.bundle)
    error_message = "job.script and job.bundle are files; `lakehead deploy` makes them."
  }
}

variable "notification_emails" {
  description = "Who is told of loads, failures and alarms by e-mail. Each address gets a mail first, to confirm."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.notification_emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "An e-mail address looks like name@example.org."
  }
}

variable "retention" {
  description = "Days that logs, replaced or deleted object versions, and query results are kept."
  type = object({
    log_days          = optional(number, 365)
    noncurrent_days   = optional(number, 30)
    query_result_days = optional(number, 30)
  })
  default = {}

  validation {
    condition     = alltrue([for days in values(var.retention) : days >= 1])
    error_message = "Retention is at least one day."
  }
}

variable "scanned_bytes_cutoff" {
  description = "A query that reads more bytes than this is stopped: what a query costs is what it reads."
  type        = number
  default     = 107374182400

  validation {
    condition     = var.scanned_bytes_cutoff >= 10485760
    error_message = "Athena's smallest cutoff is 10 MiB, 10485760."
  }
}

variable "event_retry" {
  description = "How long and how often EventBridge tries to start an execution before the event goes to the dead-letter queue."
  type = object({
    max_age_seconds = optional(number, 86400)
    max_attempts    = optional(number, 185)
  })
  default = {}

  validation {
    condition     = var.event_retry.max_age_seconds >= 60 && var.event_retry.max_age_seconds <= 86400
    error_message = "EventBridge keeps an event for 60 to 86400 seconds."
  }

  validation {
    condition     = var.event_retry.max_attempts >= 0 && var.event_retry.max_attempts <= 185
    error_message = "EventBridge tries 0 to 185 times again."
  }
}

variable "stale_hours" {
  description = "Alarm when a dataset had no successful execution for so many hours; 0 for never."
  type        = number
  default     = 26

  validation {
    condition     = var.stale_hours >= 0 && var.stale_hours <= 168 && floor(var.stale_hours) == var.stale_hours
    error_message = "stale_hours is 0 to 168: CloudWatch looks back a week at most."
  }
}

variable "log_level" {
  description = "What of an execution's history goes to CloudWatch Logs. ALL is charged per event."
  type        = string
  default     = "ERROR"

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL"], var.log_level)
    error_message = "log_level is ALL, ERROR or FATAL."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may remove buckets with data in them. For trial environments only."
  type        = bool
  default     = false
  nullable    = false
}
