"""The Spark engine: the same contract, the same rows, on a Spark of one machine, of a cluster, or of AWS Glue.

`runtime` starts Spark, `ground` is where Spark and this process exchange files, `lines` makes numbered rows of a text,
`dialect` writes the contract's query for Spark, `layout` and `output` write Parquet, `faults` explains what Spark
raises, and `engine` is the load from end to end.
"""
