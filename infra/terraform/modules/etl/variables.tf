variable "prefix" {
  description = "Begins the names of roles and log groups: <lake>-<environment>."
  type        = string

  validation {
    condition     = length(var.prefix) <= 41
    error_message = "The prefix is at most 41 characters, so that role names fit into 64."
  }
}

variable "environment" {
  description = "Begins the names of jobs, as embedded."
  type        = string
}

variable "datasets" {
  description = "The contract's file and the names of the tables, by dataset."
  type = map(object({
    id            = string
    contract_file = string
    table         = string
    raw_prefix    = string
    prefix        = string
  }))

  validation {
    condition     = alltrue([for dataset in var.datasets : fileexists(dataset.contract_file)])
    error_message = "Every dataset has a contract."
  }
}

variable "job" {
  description = "Local paths of the script and the bundle, and the size of a run."
  type = object({
    script              = string
    bundle              = string
    glue_version        = string
    worker_type         = string
    workers             = number
    timeout_minutes     = number
    max_concurrent_runs = number
  })

  validation {
    condition     = contains(["5.0", "5.1"], var.job.glue_version)
    error_message = "The bundle is made for Glue 5.0 and 5.1 (Python 3.11, Spark 3.5)."
  }

  validation {
    condition     = contains(["G.1X", "G.2X", "G.4X", "G.8X"], var.job.worker_type) && var.job.workers >= 2
    error_message = "A Spark job has at least two workers of type G.1X, G.2X, G.4X or G.8X."
  }

  validation {
    condition     = var.job.timeout_minutes >= 1 && var.job.timeout_minutes <= 180
    error_message = "A run may take 1 to 180 minutes: the workflow waits for 3 hours."
  }

  validation {
    condition     = var.job.max_concurrent_runs >= 1 && var.job.max_concurrent_runs <= 1000
    error_message = "1 to 1000 runs at a time."
  }
}

variable "metadata_sync" {
  description = "direct lets the job write to the catalog."
  type        = string

  validation {
    condition     = contains(["crawler", "direct"], var.metadata_sync)
    error_message = "metadata_sync is crawler or direct."
  }
}

variable "database" {
  description = "The catalog's database."
  type        = string
}

variable "raw" {
  description = "The raw bucket."
  type        = object({ name = string, arn = string })
}

variable "processed" {
  description = "The processed bucket."
  type        = object({ name = string, arn = string })
}

variable "artifacts" {
  description = "The bucket for code, contracts and temporary files."
  type        = object({ name = string, arn = string })
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ... days."
  }
}
