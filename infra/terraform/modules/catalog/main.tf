data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

resource "aws_glue_catalog_database" "this" {
  name        = var.database
  description = "Tables of the lake ${var.prefix}."
}

# Raw files are told apart from headers by the contract's own dialect, not by Glue's guess.
resource "aws_glue_classifier" "csv" {
  for_each = var.datasets

  name = "${var.environment}-${each.value.id}-csv"

  csv_classifier {
    contains_header        = each.value.csv.header ? "PRESENT" : "ABSENT"
    delimiter              = each.value.csv.delimiter
    quote_symbol           = each.value.csv.quote
    disable_value_trimming = false
    allow_single_column    = true
    serde                  = "OpenCSVSerDe"
  }
}

resource "aws_glue_crawler" "raw" {
  for_each = var.datasets

  #checkov:skip=CKV_AWS_195:A security configuration encrypts the crawler's logs with a customer key; they hold names of tables and folders.
  name          = "${var.environment}-${each.value.id}-raw"
  description   = "Keeps the table ${each.value.raw_prefix}${each.value.table}. Started by executions of the workflow."
  role          = aws_iam_role.crawler.arn
  database_name = aws_glue_catalog_database.this.name
  table_prefix  = each.value.raw_prefix
  classifiers   = [aws_glue_classifier.csv[each.key].name]
  configuration = local.crawler_configuration[each.key]

  s3_target {
    path       = "s3://${var.raw.name}/${each.key}/"
    exclusions = local.exclusions
  }

  schema_change_policy {
    update_behavior = "UPDATE_IN_DATABASE"
    # A table that a crawl finds no files for keeps what people know of it.
    delete_behavior = "LOG"
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }
}

resource "aws_glue_crawler" "processed" {
  for_each = var.datasets

  #checkov:skip=CKV_AWS_195:A security configuration encrypts the crawler's logs with a customer key; they hold names of tables and folders.
  name          = "${var.environment}-${each.value.id}-processed"
  description   = "Keeps the table ${each.value.prefix}${each.value.table}. Started by executions of the workflow."
  role          = aws_iam_role.crawler.arn
  database_name = aws_glue_catalog_database.this.name
  table_prefix  = each.value.prefix
  configuration = local.crawler_configuration[each.key]

  s3_target {
    path       = "s3://${var.processed.name}/${each.key}/"
    exclusions = local.exclusions
  }

  schema_change_policy {
    update_behavior = "UPDATE_IN_DATABASE"
    delete_behavior = "LOG"
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }
}

# Quarantine files have one schema and no partitions, so nothing has to look for changes: new files are seen at once.
resource "aws_glue_catalog_table" "quarantine" {
  for_each = var.datasets

  name          = each.value.quarantine_name
  description   = "Rows of ${each.key} that broke the contract, each with its line and its reasons."
  database_name = aws_glue_catalog_database.this.name
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL       = "TRUE"
    classification = "parquet"
  }

  storage_descriptor {
    location      = "s3://${var.processed.name}/quarantine/${each.key}/"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = local.quarantine_columns

      content {
        name = columns.value.name
        type = columns.value.type
      }
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["glue.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "crawler" {
  name               = "${var.prefix}-crawler"
  description        = "What the crawlers of ${var.prefix} may do."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "crawler" {
  dynamic "statement" {
    for_each = { raw = var.raw.arn, processed = var.processed.arn }

    content {
      sid       = "List${title(statement.key)}"
      actions   = ["s3:ListBucket"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = flatten([for dataset in keys(var.datasets) : [dataset, "${dataset}/*"]])
      }
    }
  }

  statement {
    sid       = "ReadObjects"
    actions   = ["s3:GetObject"]
    resources = flatten([for dataset in keys(var.datasets) : ["${var.raw.arn}/${dataset}/*", "${var.processed.arn}/${dataset}/*"]])
  }

  statement {
    sid = "KeepTables"
    actions = [
      "glue:BatchCreatePartition",
      "glue:BatchGetPartition",
      "glue:BatchUpdatePartition",
      "glue:CreatePartitionIndex",
      "glue:CreateTable",
      "glue:GetDatabase",
      "glue:GetPartition",
      "glue:GetPartitionIndexes",
      "glue:GetPartitions",
      "glue:GetTable",
      "glue:GetTables",
      "glue:UpdatePartition",
      "glue:UpdateTable",
    ]
    resources = concat(
      ["${local.glue_arn}:catalog", "${local.glue_arn}:database/${aws_glue_catalog_database.this.name}"],
      flatten([
        for dataset in var.datasets : [
          "${local.glue_arn}:table/${aws_glue_catalog_database.this.name}/${dataset.raw_prefix}${dataset.table}",
          "${local.glue_arn}:table/${aws_glue_catalog_database.this.name}/${dataset.prefix}${dataset.table}",
        ]
      ]),
    )
  }

  # All crawlers of an account write to one log group, which Glue makes; so no environment can own it or its retention.
  statement {
    sid     = "WriteLogs"
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [
      "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws-glue/crawlers*",
    ]
  }
}

resource "aws_iam_role_policy" "crawler" {
  name   = "crawl"
  role   = aws_iam_role.crawler.id
  policy = data.aws_iam_policy_document.crawler.json
}
