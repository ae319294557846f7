locals {
  account        = data.aws_caller_identity.current.account_id
  region         = data.aws_region.current.name
  partition      = data.aws_partition.current.partition
  glue_arn       = "arn:${local.partition}:glue:${local.region}:${local.account}"
  results_prefix = "athena-results/"

  # A query's first comment line says what it answers.
  descriptions = { for name, query in var.queries : name => try(regex("^-- *([^\\r\\n]+)", query)[0], null) }
}
