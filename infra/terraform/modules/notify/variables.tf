variable "name" {
  description = "The topic's name."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z_-]{1,256}$", var.name))
    error_message = "A topic's name is letters, digits, hyphens and underscores."
  }
}

variable "emails" {
  description = "Addresses that are told by e-mail."
  type        = set(string)

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "An e-mail address looks like name@example.org."
  }
}
