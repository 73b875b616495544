"""Which answers a drift check looks at; a parameter of the flow."""

from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, Field

from tasks.errors import BadInput


class Window(BaseModel, frozen=True, extra="forbid"):
    """The answers from `since` on and before `until`."""

    since: AwareDatetime | None = Field(
        None, description="Empty: window_hours of the classifier file before `until`"
    )
    until: AwareDatetime | None = Field(None, description="Empty: when this run was due")
    rows: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="only so many, the newest. Empty: window_rows of the classifier file",
    )

    def span(self, due: datetime, hours: float) -> tuple[datetime, datetime]:
        """Begin and end, in whole seconds; BadInput for a window without any time in it."""
        until = (self.until or due).replace(microsecond=0)
        since = (self.since or until - timedelta(hours=hours)).replace(microsecond=0)
        if since >= until:
            raise BadInput(f"window: since {since} must be before until {until}")
        return since, until
