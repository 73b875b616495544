"""
The error tree:

    ProjectError
      BadInput         a file, row, setting or parameter that a person must mend
        BadConfig      a classifier file
        BadData        a data source; names file, line and reason
      NotFound         a thing that should be there is not
      JobFailed        AWS ran it and it failed
      GateFailed       a measured decision said no
      DeployFailed     a release could not be completed; the old version serves
        OldSideDown    the old version cannot; all traffic is on the new one
      Conflict         somebody else changed the same thing first
      WaitTimeout      a wait ended before the thing was ready
      MonitorBroken    the drift check cannot tell; never the same as no drift
"""


class ProjectError(Exception):
    """Anything that Perennial itself finds wrong."""


class BadInput(ProjectError):
    """A file, row, setting or parameter that a person must mend."""


class BadConfig(BadInput):
    """A classifier file that cannot be used; names file, key and what is allowed."""


class BadData(BadInput):
    """A data source that cannot be used."""

    def __init__(self, file: str, line: int | None, reason: str, detail: str) -> None:
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {reason}: {detail}")
        self.file = file
        self.line = line
        self.reason = reason


class NotFound(ProjectError):
    """A thing that should be there is not."""


class JobFailed(ProjectError):
    """AWS ran the job and it failed; carries its last error lines and where its log is."""


class GateFailed(ProjectError):
    """A measured decision said no."""

    def __init__(self, gate: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{gate}: {'; '.join(reasons)}")
        self.gate = gate
        self.reasons = reasons


class DeployFailed(ProjectError):
    """A release could not be completed; what served before serves still."""


class OldSideDown(DeployFailed):
    """What served before is not healthy and the new side is: that one has all traffic now."""


class Conflict(ProjectError):
    """Somebody else changed the same thing first."""


class WaitTimeout(ProjectError):
    """A wait ended before the thing was ready."""


class MonitorBroken(ProjectError):
    """The drift check cannot tell; names the resource and what to run. Never "no drift"."""
