data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

resource "aws_athena_workgroup" "this" {
  name          = var.prefix
  description   = "Queries of the lake ${var.prefix}."
  force_destroy = var.force_destroy

  configuration {
    # What stands here holds for every query, whatever a client asks for.
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scanned_bytes_cutoff

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = "s3://${var.results.name}/${local.results_prefix}"

      encryption_configuration {
        encryption_option = "SSE_S3"
      }
    }
  }
}

resource "aws_athena_named_query" "this" {
  for_each = var.queries

  name        = each.key
  workgroup   = aws_athena_workgroup.this.id
  database    = var.database
  description = local.descriptions[each.key]
  query       = each.value
}

data "aws_iam_policy_document" "analyst" {
  statement {
    sid = "Query"
    actions = [
      "athena:BatchGetNamedQuery",
      "athena:GetNamedQuery",
      "athena:GetQueryExecution",
      "athena:GetQueryResults",
      "athena:GetWorkGroup",
      "athena:ListNamedQueries",
      "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = [aws_athena_workgroup.this.arn]
  }

  statement {
    sid = "ReadCatalog"
    actions = [
      "glue:BatchGetPartition",
      "glue:GetDatabase",
      "glue:GetDatabases",
      "glue:GetPartition",
      "glue:GetPartitions",
      "glue:GetTable",
      "glue:GetTables",
    ]
    resources = [
      "${local.glue_arn}:catalog",
      "${local.glue_arn}:database/${var.database}",
      # Athena looks at it before every query, and fails without.
      "${local.glue_arn}:database/default",
      "${local.glue_arn}:table/${var.database}/*",
    ]
  }

  statement {
    sid     = "ReadData"
    actions = ["s3:GetObject"]
    resources = flatten([
      for dataset in var.datasets : [
        "${var.raw.arn}/${dataset}/*",
        "${var.processed.arn}/${dataset}/*",
        "${var.processed.arn}/quarantine/${dataset}/*",
      ]
    ])
  }

  dynamic "statement" {
    for_each = {
      Raw       = { arn = var.raw.arn, prefixes = [for dataset in var.datasets : "${dataset}/*"] }
      Processed = { arn = var.processed.arn, prefixes = flatten([for dataset in var.datasets : ["${dataset}/*", "quarantine/${dataset}/*"]]) }
      Results   = { arn = var.results.arn, prefixes = ["${local.results_prefix}*"] }
    }

    content {
      sid       = "List${statement.key}"
      actions   = ["s3:ListBucket"]
      resources = [statement.value.arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = statement.value.prefixes
      }
    }
  }

  # Athena acts with the rights of who asks: it looks where the bucket is, and writes results in parts.
  statement {
    sid       = "FindBuckets"
    actions   = ["s3:GetBucketLocation"]
    resources = [var.raw.arn, var.processed.arn, var.results.arn]
  }

  statement {
    sid       = "KeepResults"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.results.arn}/${local.results_prefix}*"]
  }
}

resource "aws_iam_policy" "analyst" {
  name        = "${var.prefix}-analyst"
  description = "Query the lake ${var.prefix} by its workgroup. Changes nothing but query results."
  policy      = data.aws_iam_policy_document.analyst.json
}
