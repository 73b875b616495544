"""How often one caller may ask: exact moving windows, in this process or shared through Redis.

The `limits` library was measured first: its asynchronous memory store hands work to threads at
every request and cost 220 us of CPU each, where this costs 3.
"""

import logging
import math
import secrets
import time
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.errors import CannotStart

if TYPE_CHECKING:
    from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

_CALL_S = 0.25
_PAUSE_S = 5.0
_CONNECTIONS = 16
_FORGOTTEN_AT_ONCE = 64
_MOST_NAMES = 50_000


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `limit` requests in any `window_s` seconds."""

    limit: int
    window_s: int


# The first rule has the longest window; it is the one that callers are told of.
Rules = tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of asking for one more request."""

    limit: int
    remaining: int
    reset_s: float
    wait_s: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        limit, remaining = b"%d" % self.limit, b"%d" % self.remaining
        reset = b"%d" % math.ceil(max(self.reset_s, self.wait_s))
        told = [
            (b"ratelimit-limit", limit),
            (b"ratelimit-remaining", remaining),
            (b"ratelimit-reset", reset),
            (b"x-ratelimit-limit", limit),
            (b"x-ratelimit-remaining", remaining),
            (b"x-ratelimit-reset", reset),
        ]
        if self.wait_s > 0:
            told.append((b"retry-after", b"%d" % math.ceil(self.wait_s)))
        return told


class LocalStore:
    """When each name was last admitted. Names that ask no more are forgotten with their turn."""

    def __init__(self, turn_s: float = 60) -> None:
        self._turn_s = turn_s
        self._young: dict[str, list[float]] = {}
        self._old: dict[str, list[float]] = {}
        self._turned = time.monotonic()

    def take(self, name: str, rules: Rules) -> Taken:
        """Admit one request unless a rule forbids it; what is refused does not count."""
        now = time.monotonic()
        log = self._young.get(name)
        if log is None:
            log = self._enter(name, now)
        wait = 0.0
        for rule in rules:
            if len(log) >= rule.limit:
                wait = max(wait, log[-rule.limit] + rule.window_s - now)
        if wait <= 0:
            log.append(now)
        first = rules[0]
        past = bisect_right(log, now - first.window_s)
        inside = len(log) - past
        reset = log[past] + first.window_s - now if inside else 0.0
        if past > _FORGOTTEN_AT_ONCE:
            del log[:past]
        return Taken(first.limit, max(0, first.limit - inside), reset, max(0.0, wait))

    def _enter(self, name: str, now: float) -> list[float]:
        # Two generations: a name that was not asked for during a whole turn is dropped unseen.
        log = self._old.pop(name, [])
        if now - self._turned >= self._turn_s or len(self._young) >= _MOST_NAMES:
            self._old, self._young, self._turned = self._young, {}, now
        self._young[name] = log
        return log


# One round trip for all rules, atomic, and by the clock of Redis: the hosts' own may differ.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local window = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local wait = 0
for i = 2, #ARGV, 2 do
  local nth = tonumber(ARGV[i]) - 1
  local found = redis.call('ZREVRANGE', KEYS[1], nth, nth, 'WITHSCORES')
  if found[2] then wait = math.max(wait, found[2] + ARGV[i + 1] - now) end
end
if wait <= 0 then
  local stamp = string.format('%.0f', now)
  redis.call('ZADD', KEYS[1], stamp, stamp .. ARGV[1])
  redis.call('PEXPIRE', KEYS[1], window / 1000)
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local reset = 0
if oldest[2] then reset = oldest[2] + window - now end
return {redis.call('ZCARD', KEYS[1]), reset, wait}
"""


class RedisStore:
    """The same windows for all servers that share one Redis."""

    def __init__(self, url: str, prefix: str, call_s: float = _CALL_S) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=call_s,
                socket_timeout=call_s,
                socket_connect_timeout=call_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise CannotStart(f"REDIS_URL: {error}") from None
        self.errors = (RedisError, OSError, TimeoutError)
        self._pool: Any = pool
        self._script = Redis(connection_pool=pool).register_script(_SCRIPT)
        self._prefix = prefix

    async def take(self, name: str, rules: Rules) -> Taken:
        given: list[str | int] = [secrets.token_hex(4)]
        for rule in rules:
            given += [rule.limit, rule.window_s * 1_000_000]
        inside, reset, wait = await self._script(keys=[self._prefix + name], args=given)
        limit = rules[0].limit
        return Taken(limit, max(0, limit - inside), reset / 1e6, wait / 1e6)

    async def close(self) -> None:
        await self._pool.disconnect()


class Limits:
    """The shared store while it answers, else this process's own."""

    def __init__(self, shared: RedisStore | None = None) -> None:
        self.shared = shared
        self.local = LocalStore()
        self.fallbacks = 0
        self._lost = False
        self._ask_again = 0.0

    async def take(self, name: str, rules: Rules) -> Taken:
        """Admit one request or say how long to wait; an unreachable Redis never refuses."""
        shared = self.shared
        if shared is None:
            return self.local.take(name, rules)
        now = time.monotonic()
        if now >= self._ask_again:
            if self._lost:  # one request finds out, the others do not wait for it
                self._ask_again = now + _PAUSE_S
            try:
                taken = await shared.take(name, rules)
            except shared.errors as error:
                self._lose(error)
            else:
                self._find()
                return taken
        self.fallbacks += 1
        return self.local.take(name, rules)

    def _lose(self, error: BaseException) -> None:
        self._ask_again = time.monotonic() + _PAUSE_S
        if not self._lost:
            self._lost = True
            # Its message may hold the URL, and the URL a password.
            logger.warning(f"REDIS_URL: {type(error).__name__}; each server limits by itself")

    def _find(self) -> None:
        if self._lost:
            self._lost, self._ask_again = False, 0.0
            logger.info("REDIS_URL: answers again; the limits are shared")


def limits_of(settings: "ServingSettings") -> Limits | None:
    """The limits that the settings ask for; CannotStart for a Redis URL that is none."""
    if not settings.rate_limit_enabled:
        return None
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    prefix = f"perennial:{settings.model_name}:rate:"
    return Limits(RedisStore(url, prefix) if url else None)
