locals {
  # What nobody needs after a while.
  passing = {
    raw = {}
    processed = {
      # A job empties its own; what one that was killed left behind is older than any job that runs.
      staged-files = { prefix = "_lakehead/staging/", days = 7 }
    }
    artifacts = {
      query-results   = { prefix = "athena-results/", days = var.query_result_days }
      temporary-files = { prefix = "temp/", days = var.query_result_days }
    }
  }
}
