variable "buckets" {
  description = "The name of every bucket, by what it is for: raw, processed, artifacts."
  type        = map(string)

  validation {
    condition     = toset(keys(var.buckets)) == toset(["raw", "processed", "artifacts"])
    error_message = "The buckets are raw, processed and artifacts."
  }

  validation {
    condition     = length(distinct(values(var.buckets))) == 3
    error_message = "The three buckets are different ones: what the job writes would set off the rule on raw."
  }
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted versions of objects are kept."
  type        = number

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "Versions are kept for at least one day."
  }
}

variable "query_result_days" {
  description = "Days that query results and the job's temporary files are kept."
  type        = number

  validation {
    condition     = var.query_result_days >= 1
    error_message = "Query results are kept for at least one day."
  }
}

variable "force_destroy" {
  description = "Whether buckets may be destroyed with data in them."
  type        = bool
}
