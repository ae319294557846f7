# One environment of one lake. Every part is a module; what connects them stands here.

module "storage" {
  source = "./modules/storage"

  buckets           = local.buckets
  noncurrent_days   = var.retention.noncurrent_days
  query_result_days = var.retention.query_result_days
  force_destroy     = var.force_destroy
}

module "notify" {
  source = "./modules/notify"

  name   = "${local.prefix}-lakehead"
  emails = var.notification_emails
}

module "catalog" {
  source = "./modules/catalog"

  prefix      = local.prefix
  environment = var.environment
  database    = local.database
  datasets    = local.datasets
  raw         = module.storage.buckets["raw"]
  processed   = module.storage.buckets["processed"]
}

module "etl" {
  source = "./modules/etl"

  prefix        = local.prefix
  environment   = var.environment
  datasets      = local.datasets
  job           = var.job
  metadata_sync = var.metadata_sync
  database      = module.catalog.database
  raw           = module.storage.buckets["raw"]
  processed     = module.storage.buckets["processed"]
  artifacts     = module.storage.buckets["artifacts"]
  log_days      = var.retention.log_days
}

module "workflow" {
  source = "./modules/workflow"

  prefix      = local.prefix
  environment = var.environment
  document    = file("${var.lake_dir}/workflow/ingest.asl.json")
  datasets = {
    for dataset, described in local.datasets : dataset => {
      id                = described.id
      job               = module.etl.jobs[dataset]
      raw_crawler       = module.catalog.crawlers[dataset].raw
      processed_crawler = module.catalog.crawlers[dataset].processed
    }
  }
  processed      = module.storage.buckets["processed"]
  topic_arn      = module.notify.topic_arn
  metadata_sync  = var.metadata_sync
  settle_seconds = var.settle_seconds
  poll_seconds   = var.poll_seconds
  log_level      = var.log_level
  log_days       = var.retention.log_days
}

module "events" {
  source = "./modules/events"

  prefix         = local.prefix
  raw            = module.storage.buckets["raw"]
  state_machines = module.workflow.state_machines
  retry          = var.event_retry
}

module "query" {
  source = "./modules/query"

  prefix               = local.prefix
  database             = module.catalog.database
  queries              = local.queries
  processed            = module.storage.buckets["processed"]
  raw                  = module.storage.buckets["raw"]
  results              = module.storage.buckets["artifacts"]
  datasets             = keys(local.datasets)
  scanned_bytes_cutoff = var.scanned_bytes_cutoff
  force_destroy        = var.force_destroy
}

module "monitor" {
  source = "./modules/monitor"

  prefix         = local.prefix
  topic_arn      = module.notify.topic_arn
  state_machines = module.workflow.state_machines
  jobs           = module.etl.jobs
  rules          = module.events.rules
  queue          = module.events.dead_letter_queue
  stale_hours    = var.stale_hours
}
