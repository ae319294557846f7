terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # From 5.67 on, a plan has AWS validate a state machine's definition.
      version = "~> 5.67"
    }
  }
}
