locals {
  account    = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.name
  partition  = data.aws_partition.current.partition
  glue_arn   = "arn:${local.partition}:glue:${local.region}:${local.account}"
  log_prefix = "/lakehead/${var.prefix}/etl"

  # lakehead.storage.layout: data, quarantine, commit records, content markers, staged files.
  processed_prefixes = flatten([
    for dataset in keys(var.datasets) : [
      "${dataset}/",
      "quarantine/${dataset}/",
      "_lakehead/commits/${dataset}/",
      "_lakehead/content/${dataset}/",
      "_lakehead/staging/",
    ]
  ])

  table_arns = concat(
    ["${local.glue_arn}:catalog", "${local.glue_arn}:database/${var.database}"],
    flatten([
      for dataset in var.datasets : [
        "${local.glue_arn}:table/${var.database}/${dataset.raw_prefix}${dataset.table}",
        "${local.glue_arn}:table/${var.database}/${dataset.prefix}${dataset.table}",
      ]
    ]),
  )

  glue_arguments = {
    "--additional-python-modules" = "s3://${var.artifacts.name}/${aws_s3_object.bundle.key}"
    # The bundle carries every wheel that the job needs: nothing is fetched from an index.
    "--python-modules-installer-option" = "--no-index"
    # One object version is a run's whole input, so there is nothing for a bookmark to remember.
    "--job-bookmark-option" = "job-bookmark-disable"
    "--job-language"        = "python"
    # lakehead.etl.spark.runtime.SURVIVAL: what can only be said when Spark starts.
    "--conf"                         = "spark.executor.killOnFatalError.depth=0"
    "--enable-metrics"               = "true"
    "--enable-observability-metrics" = "true"
    "--enable-job-insights"          = "true"
    "--custom-logGroup-prefix"       = local.log_prefix
    "--TempDir"                      = "s3://${var.artifacts.name}/temp/"
  }
}
