"""What ministack forgets of a request that AWS keeps. With these, a second plan finds nothing to change."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from ministack.services import cloudwatch, glue, s3, stepfunctions


def install() -> None:
    """Keep what a crawler, a job, a state machine, an alarm and a large object were made with."""
    _after(glue, "_create_crawler", _keep_crawler)
    _after(glue, "_create_job", _keep_job)
    _after(glue, "_update_job", lambda request: _keep_job({**request.get("JobUpdate", {}), "Name": request["JobName"]}))
    _after(stepfunctions, "_create_state_machine", _keep_tracing)
    _after(stepfunctions, "_update_state_machine", _keep_tracing)
    _keep_tags_of_uploads()
    describe = cloudwatch._describe_alarms

    def describe_alarms(*request: Any) -> Any:
        status, headers, body = describe(*request)
        return status, headers, _told_in_full(body.decode()).encode() if body.startswith(b"<") else body

    cloudwatch._describe_alarms = describe_alarms


def _after(module: Any, name: str, keep: Any) -> None:
    handle = getattr(module, name)

    def handled(request: dict[str, Any]) -> Any:
        answer = handle(request)
        if answer[0] < 400:
            keep(request)
        return answer

    setattr(module, name, handled)


def _keep_crawler(request: dict[str, Any]) -> None:
    glue._crawlers[request["Name"]]["LineageConfiguration"] = {"CrawlerLineageSettings": "DISABLE"}
    _keep_tags("crawler", request)


def _keep_job(request: dict[str, Any]) -> None:
    job = glue._jobs[request["Name"]]
    for name in ("ExecutionProperty", "ExecutionClass"):
        if name in request:
            job[name] = request[name]
    _keep_tags("job", request)


def _keep_tags(kind: str, request: dict[str, Any]) -> None:
    if "Tags" in request:
        glue._tags[glue._arn(kind, request["Name"])] = dict(request["Tags"])


def _keep_tags_of_uploads() -> None:
    """An object that arrives in parts has the tags that the start of its upload named."""
    create, complete = s3._create_multipart_upload, s3._complete_multipart_upload

    def created(bucket: str, key: str, headers: dict[str, str]) -> Any:
        before = set(s3._multipart_uploads)
        answer = create(bucket, key, headers)
        for upload in set(s3._multipart_uploads) - before:
            s3._multipart_uploads[upload]["tags"] = dict(parse_qsl(headers.get("x-amz-tagging", "")))
        return answer

    def completed(bucket: str, key: str, body: bytes, query: dict[str, Any], headers: Any = None) -> Any:
        tags = s3._multipart_uploads.get(s3._qp(query, "uploadId"), {}).get("tags")
        answer = complete(bucket, key, body, query, headers)
        if tags and answer[0] == 200:
            version = s3._buckets[bucket]["objects"][key].get("version_id")
            s3._object_tags[bucket, key, version] = tags
        return answer

    s3._create_multipart_upload, s3._complete_multipart_upload = created, completed


def _keep_tracing(request: dict[str, Any]) -> None:
    if "tracingConfiguration" not in request:
        return
    for arn, machine in stepfunctions._state_machines.items():
        if arn == request.get("stateMachineArn") or machine["name"] == request.get("name"):
            machine["tracingConfiguration"] = request["tracingConfiguration"]


def _told_in_full(xml: str) -> str:
    """DescribeAlarms in XML, which is what Terraform reads, with the fields that ministack leaves out."""
    for name, alarm in cloudwatch._alarms.items():
        told = f"<AlarmName>{name}</AlarmName>"
        xml = xml.replace(told, told + _alarm_fields(alarm))
    return xml


def _alarm_fields(alarm: dict[str, Any]) -> str:
    texts = ("AlarmDescription", "ActionsEnabled", "Statistic", "Period", "TreatMissingData")
    fields = [f"<{name}>{escape(str(alarm[name]))}</{name}>" for name in texts if alarm.get(name) is not None]
    for name in ("OKActions", "AlarmActions", "InsufficientDataActions"):
        members = "".join(f"<member>{escape(action)}</member>" for action in alarm.get(name, ()))
        fields.append(f"<{name}>{members}</{name}>")
    members = "".join(
        f"<member><Name>{escape(one['Name'])}</Name><Value>{escape(one['Value'])}</Value></member>"
        for one in alarm.get("Dimensions", ())
    )
    return "".join([*fields, f"<Dimensions>{members}</Dimensions>"])
