output "state_machines" {
  description = "The state machine of every dataset."
  value       = { for dataset, machine in aws_sfn_state_machine.this : dataset => machine.arn }
}

output "role" {
  description = "The state machines' role."
  value       = aws_iam_role.states.name
}
