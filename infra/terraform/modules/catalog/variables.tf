variable "prefix" {
  description = "Begins the names of roles: <lake>-<environment>."
  type        = string

  validation {
    condition     = length(var.prefix) <= 41
    error_message = "The prefix is at most 41 characters, so that role names fit into 64."
  }
}

variable "environment" {
  description = "Begins the names of crawlers, as embedded."
  type        = string
}

variable "database" {
  description = "The database's name."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-z_]+$", var.database))
    error_message = "Athena wants small letters, digits and underscores."
  }
}

variable "datasets" {
  description = "What the contracts say of tables and CSV dialects, by dataset."
  type = map(object({
    id              = string
    table           = string
    raw_prefix      = string
    prefix          = string
    quarantine_name = string
    csv = object({
      delimiter = string
      quote     = string
      header    = bool
    })
  }))

  validation {
    condition     = length(distinct(values(var.datasets)[*].id)) == length(var.datasets)
    error_message = "Two datasets would share crawlers and a job, for their paths differ only in / and -."
  }

  validation {
    condition = length(distinct(flatten([
      for one in var.datasets : ["${one.raw_prefix}${one.table}", "${one.prefix}${one.table}", one.quarantine_name]
    ]))) == 3 * length(var.datasets)
    error_message = "Two tables would have one name: set rawTablePrefix, processedTablePrefix and quarantineTablePrefix in one of the contracts."
  }
}

variable "raw" {
  description = "The raw bucket."
  type        = object({ name = string, arn = string })
}

variable "processed" {
  description = "The processed bucket."
  type        = object({ name = string, arn = string })
}
