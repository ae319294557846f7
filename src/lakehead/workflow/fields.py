"""Which fields a state may have, by type and query language (ASL specification, "State types" and "JSONata")."""

from __future__ import annotations

_ANY = {"Type", "Comment", "QueryLanguage"}
_FLOW = {"Next", "End"}
_IO = {"InputPath", "OutputPath"}
_ERRORS = {"Retry", "Catch"}
_MAP = {
    "ItemProcessor", "Iterator", "ItemSelector", "ItemBatcher", "ItemReader", "ResultWriter", "Label", "MaxConcurrency",
    "ToleratedFailureCount", "ToleratedFailurePercentage",
}  # fmt: skip

JSONPATH: dict[str, set[str]] = {
    "Pass": _ANY | _FLOW | _IO | {"Parameters", "Result", "ResultPath", "Assign"},
    "Task": _ANY | _FLOW | _IO | _ERRORS
    | {"Parameters", "ResultSelector", "ResultPath", "Assign", "Resource", "Credentials", "TimeoutSeconds",
       "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Choice": _ANY | _IO | {"Choices", "Default", "Assign"},
    "Wait": _ANY | _FLOW | _IO | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath", "Assign"},
    "Succeed": _ANY | _IO,
    "Fail": _ANY | {"Error", "ErrorPath", "Cause", "CausePath"},
    "Parallel": _ANY | _FLOW | _IO | _ERRORS | {"Parameters", "ResultSelector", "ResultPath", "Assign", "Branches"},
    "Map": _ANY | _FLOW | _IO | _ERRORS | _MAP
    | {"Parameters", "ResultSelector", "ResultPath", "Assign", "ItemsPath", "MaxConcurrencyPath",
       "ToleratedFailureCountPath", "ToleratedFailurePercentagePath"},
}  # fmt: skip

JSONATA: dict[str, set[str]] = {
    "Pass": _ANY | _FLOW | {"Output", "Assign"},
    "Task": _ANY | _FLOW | _ERRORS
    | {"Arguments", "Output", "Assign", "Resource", "Credentials", "TimeoutSeconds", "HeartbeatSeconds"},
    "Choice": _ANY | {"Choices", "Default", "Output", "Assign"},
    "Wait": _ANY | _FLOW | {"Seconds", "Timestamp", "Output", "Assign"},
    "Succeed": _ANY | {"Output"},
    "Fail": _ANY | {"Error", "Cause"},
    "Parallel": _ANY | _FLOW | _ERRORS | {"Arguments", "Output", "Assign", "Branches"},
    "Map": _ANY | _FLOW | _ERRORS | _MAP | {"Items", "Output", "Assign"},
}  # fmt: skip

MACHINE = {"Comment", "StartAt", "States", "QueryLanguage"}
TOP = MACHINE | {"Version", "TimeoutSeconds"}
PROCESSOR = MACHINE | {"ProcessorConfig"}
RETRIER = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}
CATCHER_JSONPATH = {"ErrorEquals", "Next", "ResultPath", "Assign", "Comment"}
CATCHER_JSONATA = {"ErrorEquals", "Next", "Output", "Assign", "Comment"}
TERMINAL = {"Succeed", "Fail"}
