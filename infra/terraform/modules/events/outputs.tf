output "rules" {
  description = "The rule of every dataset."
  value       = { for dataset, rule in aws_cloudwatch_event_rule.landed : dataset => rule.name }
}

output "dead_letter_queue" {
  description = "Where events go that started no execution."
  value       = { name = aws_sqs_queue.dead_letters.name, url = aws_sqs_queue.dead_letters.id }
}

output "role" {
  description = "The rules' role."
  value       = aws_iam_role.events.name
}
