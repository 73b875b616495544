"""When alarms of what serves turn red: the table `[alarms]` of a classifier file."""

from pydantic import BaseModel, Field


class Alarms(BaseModel, frozen=True, extra="forbid"):
    """Thresholds of the CloudWatch alarms, which follow the file at each release."""

    error_percent: float = Field(5, gt=0, lt=100, description="of the answers that are 5xx")
    error_minutes: int = Field(3, ge=1, le=1440, description="for so long")
    latency_ms: float = Field(
        500, ge=1, le=60_000, description="mean, on EC2 and real-time endpoints"
    )
    serverless_latency_ms: float = Field(
        5000, ge=1, le=60_000, description="mean, cold starts included"
    )
    latency_minutes: int = Field(5, ge=1, le=1440, description="for so long")
    quiet_minutes: int = Field(
        30, ge=1, le=1440, description="nobody asks: a person is told, no version goes back"
    )

    def parameters(self, target: str) -> dict[str, str]:
        """What the templates infra/cloudformation/alarms-*.yaml call them."""
        latency = self.serverless_latency_ms if target == "serverless" else self.latency_ms
        return {
            "ErrorPercent": f"{self.error_percent:g}",
            "ErrorMinutes": str(self.error_minutes),
            "LatencyMs": f"{latency:g}",
            "LatencyMinutes": str(self.latency_minutes),
            "QuietMinutes": str(self.quiet_minutes),
        }
