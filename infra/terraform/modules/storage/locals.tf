locals {
  # What nobody needs after a while, in the artifacts bucket.
  passing_prefixes = {
    query-results   = "athena-results/"
    temporary-files = "temp/"
  }
}
