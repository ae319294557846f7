# One state machine per dataset: the document names one job and two crawlers by Configure's Result, and a rule's target
# can only choose a state machine, not a part of one. So a failing dataset has alarms and executions of its own, too.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  for_each = var.datasets

  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with keys of its own; ours hold names of files and counts of rows.
  # Below /aws/vendedlogs/ the policy of deliveries does not grow with the number of groups.
  name              = "/aws/vendedlogs/states/${var.prefix}-${each.value.id}-ingest"
  retention_in_days = var.log_days
}

resource "aws_sfn_state_machine" "this" {
  for_each = var.datasets

  name       = "${var.prefix}-${each.value.id}-ingest"
  type       = "STANDARD"
  role_arn   = aws_iam_role.states.arn
  definition = local.definitions[each.key]

  logging_configuration {
    level                  = var.log_level
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.this[each.key].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  lifecycle {
    precondition {
      condition     = local.differing_states[each.key] == ["Configure"]
      error_message = "The workflow document has no Pass state Configure whose Result, an object that nests at most twice, stands behind its Type and Comment: compare it with the shipped one."
    }

    precondition {
      condition     = try(local.rendered[each.key].States.Configure.Result.topic_arn, "") == var.topic_arn
      error_message = "Configure's Result could not be filled in."
    }
  }

  depends_on = [aws_iam_role_policy.states]
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:states:${local.region}:${local.account}:stateMachine:${var.prefix}-*"]
    }
  }
}

resource "aws_iam_role" "states" {
  name               = "${var.prefix}-states"
  description        = "What the executions of ${var.prefix} may do."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "states" {
  # startJobRun.sync starts, watches and, when an execution is stopped, stops a run.
  statement {
    sid       = "RunJobs"
    actions   = ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"]
    resources = [for dataset in var.datasets : "${local.glue_arn}:job/${dataset.job}"]
  }

  dynamic "statement" {
    for_each = var.metadata_sync == "crawler" ? [local.crawler_arns] : []

    content {
      sid       = "RunCrawlers"
      actions   = ["glue:GetCrawler", "glue:StartCrawler"]
      resources = statement.value
    }
  }

  statement {
    sid       = "ReadCommitRecords"
    actions   = ["s3:GetObject"]
    resources = [for dataset in keys(var.datasets) : "${var.processed.arn}/_lakehead/commits/${dataset}/*"]
  }

  # Without it S3 answers "access denied" for a record that is not there, and a first load would fail. A GetObject has no
  # s3:prefix, so there is nothing to narrow this by.
  statement {
    sid       = "KnowAbsentRecords"
    actions   = ["s3:ListBucket"]
    resources = [var.processed.arn]
  }

  statement {
    sid       = "Tell"
    actions   = ["sns:Publish"]
    resources = [var.topic_arn]
  }

  # Log deliveries and traces know no resources: AWS allows nothing narrower than *.
  statement {
    sid = "DeliverLogs"
    actions = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
    ]
    resources = ["*"]
  }

  statement {
    sid = "Trace"
    actions = [
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
      "xray:PutTelemetryRecords",
      "xray:PutTraceSegments",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "states" {
  name   = "ingest"
  role   = aws_iam_role.states.id
  policy = data.aws_iam_policy_document.states.json
}
