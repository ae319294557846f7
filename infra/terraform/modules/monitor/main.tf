data "aws_region" "current" {}

# The workflow tells of every failure that it can catch. These tell of those that it cannot: States.Runtime, a time-out of
# the whole execution, a stop, a topic that refuses.
resource "aws_cloudwatch_metric_alarm" "executions" {
  for_each = local.execution_alarms

  alarm_name          = "${var.prefix}-${each.value.id}-executions-${each.value.name}"
  alarm_description   = "An execution for ${each.value.dataset} ended as ${each.value.name}. Look with: lakehead runs ls"
  namespace           = "AWS/States"
  metric_name         = each.value.metric
  dimensions          = { StateMachineArn = each.value.arn }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "jobs" {
  for_each = var.jobs

  alarm_name          = "${var.prefix}-${replace(each.key, "/", "-")}-job-failed"
  alarm_description   = "A run of the job ${each.value} failed."
  namespace           = "Glue"
  metric_name         = "glue.error.ALL"
  dimensions          = { JobName = each.value, JobRunId = "ALL", Type = "count", ObservabilityGroup = "error" }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
}

# No data point at all is what stale means, so it counts as breaching.
resource "aws_cloudwatch_metric_alarm" "stale" {
  for_each = var.stale_hours > 0 ? var.state_machines : {}

  alarm_name          = "${var.prefix}-${replace(each.key, "/", "-")}-stale"
  alarm_description   = "Nothing of ${each.key} was loaded for ${var.stale_hours} hours."
  namespace           = "AWS/States"
  metric_name         = "ExecutionsSucceeded"
  dimensions          = { StateMachineArn = each.value }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = var.stale_hours
  datapoints_to_alarm = var.stale_hours
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.prefix}-dead-letters"
  alarm_description   = "An event started no execution: its file is not loaded. Read the queue ${var.queue.name}, mend the cause, then send the events again."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = var.queue.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.prefix
  dashboard_body = jsonencode({ widgets = local.widgets })
}
