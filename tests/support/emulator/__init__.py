"""An AWS on this machine: ministack, with what it only pretends made real.

A process of its own, started as `python -m support.emulator` in the emulator's virtual environment. ministack answers
the API calls and holds the state. Ours are: crawlers that look at the bucket and fill the catalog (`crawler`,
`inference`, `tables`), job runs that run the deployed script (`jobs`), Step Functions' integrations and EventBridge's
starts as calls of their roles (`states`, `events`), the check and record of what every role calls (`authority`), and
what ministack forgets of a request (`memory`).
"""
