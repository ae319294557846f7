locals {
  region = data.aws_region.current.name

  bad_ends = { failed = "ExecutionsFailed", timed-out = "ExecutionsTimedOut", aborted = "ExecutionsAborted" }
  execution_alarms = {
    for pair in setproduct(keys(var.state_machines), keys(local.bad_ends)) : "${pair[0]}/${pair[1]}" => {
      dataset = pair[0]
      id      = replace(pair[0], "/", "-")
      arn     = var.state_machines[pair[0]]
      name    = pair[1]
      metric  = local.bad_ends[pair[1]]
    }
  }

  graphs = [
    {
      title = "Executions"
      metrics = [
        for pair in setproduct(keys(var.state_machines), ["Succeeded", "Failed", "TimedOut", "Aborted"]) :
        ["AWS/States", "Executions${pair[1]}", "StateMachineArn", var.state_machines[pair[0]], { stat = "Sum", label = "${pair[0]} ${pair[1]}" }]
      ]
    },
    {
      title = "From landed to told, milliseconds"
      metrics = [
        for dataset, arn in var.state_machines :
        ["AWS/States", "ExecutionTime", "StateMachineArn", arn, { stat = "p90", label = dataset }]
      ]
    },
    {
      title = "Events: starts that failed, and dead letters"
      metrics = concat(
        [for dataset, rule in var.rules : ["AWS/Events", "FailedInvocations", "RuleName", rule, { stat = "Sum", label = dataset }]],
        [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.queue.name, { stat = "Maximum", label = "dead letters" }]],
      )
    },
    {
      title = "Job runs: errors"
      metrics = [
        for dataset, job in var.jobs :
        ["Glue", "glue.error.ALL", "JobName", job, "JobRunId", "ALL", "Type", "count", "ObservabilityGroup", "error", { stat = "Sum", label = dataset }]
      ]
    },
  ]

  widgets = [
    for number, graph in local.graphs : {
      type   = "metric"
      x      = 12 * (number % 2)
      y      = 6 * floor(number / 2)
      width  = 12
      height = 6
      properties = {
        title   = graph.title
        region  = local.region
        view    = "timeSeries"
        period  = 300
        metrics = graph.metrics
      }
    }
  ]
}
