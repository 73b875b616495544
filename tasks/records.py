"""Frozen values that travel between tasks."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


def cost_tags(project: str, environment: str, classifier: str) -> dict[str, str]:
    """The tags that every AWS resource carries, so that its cost can be told."""
    return {
        "Project": project,
        "Environment": environment,
        "CostCenter": "ML-Team",
        "ManagedBy": "perennial",
        "Classifier": classifier,
    }


def notify_secret(project: str, environment: str) -> str:
    return f"{project}-{environment}/notify-urls"


def endpoint(prefix: str, target: str) -> str:
    """What callers ask; AWS makes no serverless endpoint out of a real-time one."""
    return f"{prefix}-serverless" if target == "serverless" else prefix


class Outcome(StrEnum):
    """What a gate says. Only PASS moves traffic."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A data set in S3 that never changes."""

    classifier: str
    sha256: str
    uri: str
    rows: dict[str, int]
    labels: tuple[str, ...]
    rows_read: int
    dropped: dict[str, int]
    reused: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A SageMaker training or processing job that has ended well."""

    name: str
    output_uri: str
    reused: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version in the MLflow registry and the bundle that it stands for."""

    classifier: str
    name: str
    version: str
    run_id: str
    bundle_uri: str
    bundle_digest: str
    snapshot_sha256: str
    job_name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's decision with the numbers that made it; the evidence is at `evaluation_uri`."""

    outcome: Outcome
    reasons: tuple[str, ...]
    numbers: dict[str, float]
    classifier: str
    version: str
    bundle_digest: str
    champion_digest: str | None
    snapshot_sha256: str
    evaluation_uri: str


@dataclass(frozen=True, slots=True)
class Served:
    """What the journal says is live: a version on a target."""

    version: str
    bundle_uri: str
    bundle_digest: str
    target: str


@dataclass(frozen=True, slots=True)
class Release:
    """The journal of one classifier in one environment; `etag` guards the next write.

    `until` is the holder's lease: ISO time in UTC by when it writes again, empty in old journals.
    """

    generation: int
    state: str
    champion: Served | None
    previous: Served | None
    candidate: Served | None
    op_id: str
    etag: str
    holder: str = ""
    reason: str = ""
    until: str = ""
    going_back: bool = False  # to a version that was champion before: finished, never undone


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision: who, what, why, with which evidence. `op_id` and `action` make it unique."""

    at: str
    actor: str
    action: str
    classifier: str
    version: str
    reason: str
    op_id: str
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A CloudWatch alarm that is red, and since when."""

    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where one classifier of one environment is served, and with what."""

    classifier: str
    task: str
    target: str
    project: str
    environment: str
    image: str
    role_arn: str
    instance_profile: str
    topic_arn: str
    template: str
    vpc_id: str
    instance_type: str
    max_chars: int
    models_bucket: str
    capture_uri: str = ""  # where answers are logged; empty: nowhere
    capture_percent: float = 100
    capture_text: str = "mask"
    capture_seconds: float = 30
    memory_mb: int = 2048  # of a serverless endpoint, as is how many requests it takes at a time
    max_concurrency: int = 1
    beside: bool = False  # the endpoint that a new version is tried on, not the callers'

    @property
    def prefix(self) -> str:
        """First part of every AWS name of this place."""
        return f"{self.project}-{self.environment}-{self.classifier}"

    @property
    def endpoint(self) -> str:
        """The SageMaker endpoint: the callers', or the one beside it."""
        return f"{endpoint(self.prefix, self.target)}{'-next' if self.beside else ''}"

    @property
    def keys_secret(self) -> str:
        """Which keys the environment's EC2 endpoints accept: hashes, in Secrets Manager."""
        return f"{self.project}-{self.environment}/api-keys"

    @property
    def operator_secret(self) -> str:
        """The key that the environment's own probes send."""
        return f"{self.project}-{self.environment}/operator-key"

    @property
    def notify_secret(self) -> str:
        """Whom Slack and e-mail tell: Apprise URLs."""
        return notify_secret(self.project, self.environment)

    @property
    def releases(self) -> str:
        """S3 folder of the journal and the ledger."""
        return f"releases/{self.environment}/{self.classifier}"

    @property
    def tags(self) -> dict[str, str]:
        return cost_tags(self.project, self.environment, self.classifier)


@dataclass(frozen=True, slots=True)
class Environment:
    """What people are told about when it is no single classifier's."""

    project: str
    environment: str
    topic_arn: str
    models_bucket: str

    @property
    def prefix(self) -> str:
        """First part of every AWS name of this environment."""
        return f"{self.project}-{self.environment}"

    @property
    def notify_secret(self) -> str:
        return notify_secret(self.project, self.environment)

    @property
    def releases(self) -> str:
        """S3 folder of the places' journals."""
        return f"releases/{self.environment}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a serving process said to one request, who it says it is, and how long that took."""

    status: int
    body: str
    version: str
    digest: str
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a serving process takes; CPU is of all cores it may use."""

    cpu_percent: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Arm:
    """What one version answered in a span of time; None where nothing was measured.

    `errors` are 5xx answers, `slow` those that took longer than the rollout allows.
    """

    version: str
    requests: int
    errors: int
    slow: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
