locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.name
  partition = data.aws_partition.current.partition
  glue_arn  = "arn:${local.partition}:glue:${local.region}:${local.account}"

  # Names that begin with _ or . are invisible to Athena and Spark, so no table may show them.
  exclusions = ["_*/**", ".*/**", "**/_*", "**/_*/**", "**/.*", "**/.*/**"]

  # InheritFromTable avoids HIVE_PARTITION_SCHEMA_MISMATCH; the table's level (the bucket is level 1) is that of the
  # dataset's last folder, so that a crawl can make no second table out of one partition.
  crawler_configuration = {
    for name, dataset in var.datasets : name => jsonencode({
      Version = 1.0
      CrawlerOutput = {
        Partitions = { AddOrUpdateBehavior = "InheritFromTable" }
        Tables     = { AddOrUpdateBehavior = "MergeNewColumns" }
      }
      Grouping = {
        TableGroupingPolicy     = "CombineCompatibleSchemas"
        TableLevelConfiguration = 1 + length(split("/", name))
      }
    })
  }

  # lakehead.catalog.targets.QUARANTINE_COLUMNS; a test compares the two.
  quarantine_columns = [
    { name = "source_bucket", type = "string" },
    { name = "source_key", type = "string" },
    { name = "source_etag", type = "string" },
    { name = "line", type = "bigint" },
    { name = "text", type = "string" },
    { name = "reasons", type = "array<string>" },
    { name = "dataset", type = "string" },
  ]
}
