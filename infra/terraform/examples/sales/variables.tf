variable "lake_dir" {
  description = "The lake's folder."
  type        = string
  default     = "../../../../src/lakehead/examples/sales"

  validation {
    condition     = fileexists("${var.lake_dir}/workflow/ingest.asl.json")
    error_message = "There is no workflow/ingest.asl.json in lake_dir."
  }
}

variable "region" {
  description = "The AWS Region."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A Region looks like eu-central-1."
  }
}

variable "environment" {
  description = "The environment."
  type        = string
  default     = "prod"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.environment))
    error_message = "An environment is at most 20 of a-z, 0-9 and hyphen."
  }
}

variable "buckets" {
  description = "Names of the buckets. Bucket names are the world's, so the default ones may be taken."
  type = object({
    raw       = optional(string)
    processed = optional(string)
    artifacts = optional(string)
  })
  default = {}
}

variable "metadata_sync" {
  description = "crawler or direct."
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
    condition     = var.poll_seconds >= 1
    error_message = "Look again after one second at the earliest."
  }
}

variable "script" {
  description = "Local path of the job's script."
  type        = string

  validation {
    condition     = fileexists(var.script)
    error_message = "There is no such script; `lakehead deploy` makes it."
  }
}

variable "bundle" {
  description = "Local path of the job's bundle, a zip of wheels."
  type        = string

  validation {
    condition     = fileexists(var.bundle)
    error_message = "There is no such bundle; `lakehead deploy` makes it."
  }
}

variable "notification_emails" {
  description = "Who is told by e-mail."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.notification_emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "An e-mail address looks like name@example.org."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may remove buckets with data in them."
  type        = bool
  default     = false
}
