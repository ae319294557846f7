data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

# Empty files match too: they commit zero rows and say so. A rule on size would drop them without a word.
resource "aws_cloudwatch_event_rule" "landed" {
  for_each = var.state_machines

  name          = local.rule_names[each.key]
  description   = "A file of ${each.key} landed."
  event_pattern = local.patterns[each.key]
}

resource "aws_cloudwatch_event_target" "start" {
  for_each = var.state_machines

  rule      = aws_cloudwatch_event_rule.landed[each.key].name
  target_id = "start-execution"
  arn       = each.value
  role_arn  = aws_iam_role.events.arn

  retry_policy {
    maximum_event_age_in_seconds = var.retry.max_age_seconds
    maximum_retry_attempts       = var.retry.max_attempts
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.prefix}-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "EventsThatStartedNothing"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.landed : rule.arn]
    }
  }

  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.dead_letters.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.prefix}-*"]
    }
  }
}

resource "aws_iam_role" "events" {
  name               = "${var.prefix}-events"
  description        = "What the rules of ${var.prefix} may do."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "events" {
  statement {
    sid       = "StartExecutions"
    actions   = ["states:StartExecution"]
    resources = values(var.state_machines)
  }
}

resource "aws_iam_role_policy" "events" {
  name   = "start"
  role   = aws_iam_role.events.id
  policy = data.aws_iam_policy_document.events.json
}
