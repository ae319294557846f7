locals {
  prefix = "${var.name}-${var.environment}"

  buckets = {
    for zone in ["raw", "processed", "artifacts"] :
    zone => coalesce(var.buckets[zone], "${var.name}-datalake-${zone}-${var.environment}")
  }

  # As LakeConfig.database names it.
  database = replace("${var.name}_${var.environment}", "/[^0-9a-z_]/", "_")

  contracts = {
    for file in fileset("${var.lake_dir}/contracts", "**/*.odcs.yaml") :
    trimsuffix(file, ".odcs.yaml") => yamldecode(file("${var.lake_dir}/contracts/${file}"))
    if !startswith(basename(file), ".")
  }

  # Lakehead's own settings: what ODCS has no word for, at the document or at its one schema object.
  settings = {
    for dataset, contract in local.contracts : dataset => {
      for property in concat(try(contract.customProperties, []), try(contract.schema[0].customProperties, [])) :
      property.property => property.value
    }
  }

  datasets = {
    for dataset, settings in local.settings : dataset => {
      id              = replace(dataset, "/", "-")
      contract_file   = "${var.lake_dir}/contracts/${dataset}.odcs.yaml"
      table           = basename(dataset)
      raw_prefix      = try(settings.rawTablePrefix, "raw_")
      prefix          = try(settings.processedTablePrefix, "processed_")
      quarantine_name = "${try(settings.quarantineTablePrefix, "quarantine_")}${basename(dataset)}"
      csv = {
        delimiter = try(settings.csvDelimiter, ",")
        quote     = try(settings.csvQuote, "\"")
        header    = try(settings.csvHeader, true)
      }
    }
  }

  queries = {
    for file in fileset("${var.lake_dir}/queries", "*.sql") :
    trimsuffix(file, ".sql") => file("${var.lake_dir}/queries/${file}")
  }
}
