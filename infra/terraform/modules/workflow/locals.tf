locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.name
  partition = data.aws_partition.current.partition
  glue_arn  = "arn:${local.partition}:glue:${local.region}:${local.account}"

  crawler_arns = flatten([
    for dataset in var.datasets : [
      "${local.glue_arn}:crawler/${dataset.raw_crawler}",
      "${local.glue_arn}:crawler/${dataset.processed_crawler}",
    ]
  ])

  shipped = jsondecode(var.document)

  # What lakehead.pipeline.configure_values says embedded, with AWS's names. What stands in the document and is the same
  # everywhere (the defaults of what an event may lack) is taken from there.
  results = {
    for name, dataset in var.datasets : name => merge(local.shipped.States.Configure.Result, {
      environment       = var.environment
      dataset           = name
      job               = dataset.job
      raw_crawler       = dataset.raw_crawler
      processed_crawler = dataset.processed_crawler
      processed_bucket  = var.processed.name
      commit_prefix     = "_lakehead/commits/${name}/"
      topic_arn         = var.topic_arn
      metadata_sync     = var.metadata_sync
      settle_seconds    = var.settle_seconds
      poll_seconds      = var.poll_seconds
      redrive_command   = "lakehead --env ${var.environment} runs redrive"
    })
  }

  # The text is cut and pasted, not decoded and encoded again, so that every byte outside of the Result stays as it is.
  # An object that nests at most twice: RE2 cannot count braces.
  configure   = "/(\"Configure\"\\s*:\\s*\\{[^{}]*\"Result\"\\s*:\\s*)\\{(?:[^{}]|\\{[^{}]*\\})*\\}/"
  definitions = { for name, result in local.results : name => replace(var.document, local.configure, "$${1}${jsonencode(result)}") }

  # What the cut and paste did, read back: only Configure may differ, and only in its Result.
  rendered = { for name, definition in local.definitions : name => try(jsondecode(definition), null) }
  differing_states = {
    for name, rendered in local.rendered : name => try([
      for state, described in local.shipped.States : state
      if jsonencode(try(rendered.States[state], null)) != jsonencode(described)
    ], [])
  }
}
