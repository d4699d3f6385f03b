"""Zoraxy's request log. Its times carry no zone: the source declares it.

Raw fields: time, router, host (`origin`), remote_addr, agent, method, path, status.
"""

from orchestration.ingest.formats.textlog import TextLog

FORMAT = TextLog(
    "zoraxy",
    r"(?:[0-9/]{10} [0-9:]{8} )?\[(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,15})\] \[router:(?P<router>[^\]]*)\] "
    r"\[origin:(?P<host>[^\]]*)\] \[client: ?(?P<remote_addr>[^\]]*)\] \[useragent: ?(?P<agent>[^\n]*)\] "
    r"(?P<method>[A-Z]+) (?P<path>[^ ]+) (?P<status>[0-9]{3})",
)
