"""Glue's part: a crawl that looks at the bucket, as the crawler's role, and keeps the crawler's table."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import glue

from lakehead.aws.glue_catalog import GlueTable, sync
from support.emulator import authority, inference


def install() -> None:
    """Take over StartCrawler, and describe a crawler that never ran as AWS does."""
    get = glue._get_crawler

    def get_crawler(request: dict[str, Any]) -> Any:
        crawler = glue._crawlers.get(request["Name"])
        if crawler is not None and crawler.get("LastCrawl") is None:
            crawler.pop("LastCrawl", None)
        return get(request)

    glue._get_crawler, glue._start_crawler = get_crawler, start_crawler


def start_crawler(request: dict[str, Any]) -> Any:
    """Begin a crawl. CrawlerRunningException where it runs already."""
    crawler = glue._crawlers.get(request["Name"])
    if crawler is None:
        return error_response_json("EntityNotFoundException", f"Crawler {request['Name']} not found", 400)
    if crawler["State"] != "READY":
        return error_response_json("CrawlerRunningException", f"Crawler {request['Name']} is running already", 400)
    crawler["State"] = "RUNNING"
    # A thread does not see the request's account without its context.
    threading.Thread(target=contextvars.copy_context().run, args=(_carry_out, crawler), daemon=True).start()
    return json_response({})


def _carry_out(crawler: dict[str, Any]) -> None:
    # Cut to seconds, as on AWS.
    last: dict[str, Any] = {"StartTime": int(time.time()), "Status": "SUCCEEDED"}
    try:
        crawl(crawler)
    except Exception as error:
        last |= {"Status": "FAILED", "ErrorMessage": f"{type(error).__name__}: {error}"}
    crawler["LastCrawl"], crawler["State"] = last, "READY"


def crawl(crawler: dict[str, Any]) -> None:
    """Look at every object below the include path, and write the table that they make."""
    (target,) = crawler["Targets"]["S3Targets"]
    bucket, _, prefix = target["Path"].removeprefix("s3://").partition("/")
    s3 = authority.client("s3", crawler["Role"])
    objects = inference.listed(s3, bucket, prefix, target.get("Exclusions", []))
    if not objects:
        return
    grouping = json.loads(crawler["Configuration"])["Grouping"]
    depth = grouping["TableLevelConfiguration"] - 1
    folders = objects[0].split("/")[:depth]
    classifier = next((glue._classifiers[name]["CsvClassifier"] for name in crawler["Classifiers"]), None)
    dialect = inference.Dialect.of(classifier) if classifier else None
    found = GlueTable(
        database=crawler["DatabaseName"],
        table=crawler["TablePrefix"] + folders[-1],
        location=f"s3://{bucket}/{'/'.join(folders)}/",
        columns=inference.columns(s3, bucket, objects, dialect),
        partition_keys=inference.partition_keys(objects, depth),
        partitions=inference.partitions(objects, depth),
        csv={"separatorChar": dialect.delimiter, "quoteChar": dialect.quote} if dialect else None,
        header=dialect.header if dialect else False,
    )
    sync(authority.client("glue", crawler["Role"]), found)
