locals {
  account    = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.name
  partition  = data.aws_partition.current.partition
  rule_names = { for dataset in keys(var.state_machines) : dataset => "${var.prefix}-${replace(dataset, "/", "-")}-landed" }

  # lakehead.events.rules.DatasetRule.pattern; a test compares the two. One wildcard for each ending, because a prefix and
  # a suffix in one list are an OR.
  patterns = {
    for dataset in keys(var.state_machines) : dataset => jsonencode({
      source        = ["aws.s3"]
      "detail-type" = ["Object Created"]
      detail = {
        bucket = { name = [var.raw.name] }
        object = { key = [for ending in [".csv", ".csv.gz"] : { wildcard = "${dataset}/*${ending}" }] }
      }
    })
  }
}
