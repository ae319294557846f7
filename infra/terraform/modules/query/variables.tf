variable "prefix" {
  description = "The workgroup's name, <lake>-<environment>."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z._-]{1,128}$", var.prefix))
    error_message = "A workgroup's name is letters, digits, dots, hyphens and underscores."
  }
}

variable "database" {
  description = "The catalog's database."
  type        = string
}

variable "queries" {
  description = "The text of every named query, by its name."
  type        = map(string)

  validation {
    condition     = alltrue([for query in values(var.queries) : length(query) <= 262144])
    error_message = "A query has at most 262144 bytes."
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

variable "results" {
  description = "The bucket for query results."
  type        = object({ name = string, arn = string })
}

variable "datasets" {
  description = "The datasets that analysts may read."
  type        = list(string)

  validation {
    condition     = length(var.datasets) > 0
    error_message = "There is at least one dataset."
  }
}

variable "scanned_bytes_cutoff" {
  description = "A query that reads more bytes than this is stopped."
  type        = number

  validation {
    condition     = var.scanned_bytes_cutoff >= 10485760
    error_message = "Athena's smallest cutoff is 10 MiB, 10485760."
  }
}

variable "force_destroy" {
  description = "Whether the workgroup may be destroyed with its history of queries."
  type        = bool
}
