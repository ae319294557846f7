# The job's contract with its script. What the workflow gives each run: --environment --dataset --execution --reason
# --source_bucket --source_key --source_etag --source_version_id --sequencer --metadata_sync. What this module gives as
# defaults: --contract (s3:// address of the dataset's contract), --processed_bucket, --database.
#
# With --metadata_sync direct the job itself, after the commit and before it ends as SUCCEEDED, makes or updates the raw
# and the processed table of its contract in --database and registers the partitions of the files that it committed, and
# of the raw file, by BatchCreatePartition (AlreadyExistsException is success). With crawler it leaves the catalog alone.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

# Named by content, so that a new version never changes under a run that is reading the old one.
resource "aws_s3_object" "script" {
  bucket      = var.artifacts.name
  key         = "code/${filesha256(var.job.script)}/${basename(var.job.script)}"
  source      = var.job.script
  source_hash = filesha256(var.job.script)

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_object" "bundle" {
  bucket      = var.artifacts.name
  key         = "code/${filesha256(var.job.bundle)}/${basename(var.job.bundle)}"
  source      = var.job.bundle
  source_hash = filesha256(var.job.bundle)

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_object" "contract" {
  for_each = var.datasets

  bucket      = var.artifacts.name
  key         = "contracts/${filesha256(each.value.contract_file)}/${each.key}.odcs.yaml"
  source      = each.value.contract_file
  source_hash = filesha256(each.value.contract_file)

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "job" {
  for_each = toset(["output", "error"])

  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with keys of its own; ours hold names, counts and reasons.
  name              = "${local.log_prefix}/${each.key}"
  retention_in_days = var.log_days
}

resource "aws_glue_job" "this" {
  for_each = var.datasets

  #checkov:skip=CKV_AWS_195:A security configuration encrypts logs and bookmarks with a customer key; bookmarks are off.
  name              = "${var.environment}-${each.value.id}-etl"
  description       = "Loads one object version of ${each.key} by its contract."
  role_arn          = aws_iam_role.job.arn
  glue_version      = var.job.glue_version
  worker_type       = var.job.worker_type
  number_of_workers = var.job.workers
  timeout           = var.job.timeout_minutes
  # The state machine retries, by the name of the error; a retry of Glue's own would run broken files again, for money.
  max_retries = 0

  command {
    name            = "glueetl"
    python_version  = "3"
    script_location = "s3://${var.artifacts.name}/${aws_s3_object.script.key}"
  }

  execution_property {
    max_concurrent_runs = var.job.max_concurrent_runs
  }

  default_arguments = merge(local.glue_arguments, {
    "--contract"         = "s3://${var.artifacts.name}/${aws_s3_object.contract[each.key].key}"
    "--processed_bucket" = var.processed.name
    "--database"         = var.database
  })
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

resource "aws_iam_role" "job" {
  name               = "${var.prefix}-etl"
  description        = "What the ETL jobs of ${var.prefix} may do."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "job" {
  statement {
    sid       = "ReadRawVersions"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = [for dataset in keys(var.datasets) : "${var.raw.arn}/${dataset}/*"]
  }

  statement {
    sid       = "CommitRows"
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = [for prefix in local.processed_prefixes : "${var.processed.arn}/${prefix}*"]
  }

  # Without it S3 answers "access denied" for an object that is not there.
  dynamic "statement" {
    for_each = {
      Raw       = { arn = var.raw.arn, prefixes = [for dataset in keys(var.datasets) : "${dataset}/*"] }
      Processed = { arn = var.processed.arn, prefixes = [for prefix in local.processed_prefixes : "${prefix}*"] }
    }

    content {
      sid       = "List${statement.key}"
      actions   = ["s3:ListBucket"]
      resources = [statement.value.arn]

      condition {
        test     = "StringLikeIfExists"
        variable = "s3:prefix"
        values   = statement.value.prefixes
      }
    }
  }

  statement {
    sid     = "ReadCodeAndContracts"
    actions = ["s3:GetObject"]
    resources = concat(
      ["${var.artifacts.arn}/${aws_s3_object.script.key}", "${var.artifacts.arn}/${aws_s3_object.bundle.key}"],
      [for contract in aws_s3_object.contract : "${var.artifacts.arn}/${contract.key}"],
    )
  }

  statement {
    sid       = "TemporaryFiles"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.artifacts.arn}/temp/*"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in aws_cloudwatch_log_group.job : "${group.arn}:*"]
  }

  # PutMetricData knows no resources; the condition is the narrowest that AWS allows.
  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["Glue"]
    }
  }

  dynamic "statement" {
    for_each = var.metadata_sync == "direct" ? [local.table_arns] : []

    content {
      sid = "RegisterPartitions"
      actions = [
        "glue:BatchCreatePartition",
        "glue:BatchGetPartition",
        "glue:BatchUpdatePartition",
        "glue:CreateTable",
        "glue:GetTable",
        "glue:UpdateTable",
      ]
      resources = statement.value
    }
  }
}

resource "aws_iam_role_policy" "job" {
  name   = "load"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}
