"""What is run: which parts, which providers, how many people, how long, from which seed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. The same seed gives the same visitors, moods and faults; what meets what is left to the machine."""

    seed: int
    broker: str = "redis"
    database: str = "sqlite"
    gateways: tuple[str, ...] = ("yuntongxun",)
    ambiguous: str = "ask"
    # Requests that are to be accepted before the crowd goes home, and the seconds after which it goes home anyhow.
    messages: int = 115
    least: float = 22.0
    most: float = 45.0
    people: int = 26
    # Seconds between two faults, on average.
    pace: float = 0.6
    # One worker sleeps past its lease.
    oversleeps: bool = True
    # Longer than the pause before a retry; where it is shorter, most retries are superseded instead.
    cooldown: int = 6
    ttl: int = 15

    def __str__(self) -> str:
        """Name it in a line."""
        return f"{self.broker:8} {self.database:10} {'+'.join(self.gateways):17} {self.ambiguous:6}"


ONE, OTHER, BOTH = ("yuntongxun",), ("aliyun",), ("yuntongxun", "aliyun")

# Both brokers, both databases, a provider that knows repeats and one that does not, both policies.
LONG = (
    Plan(1, "redis", "sqlite", ONE, "ask", cooldown=3, people=16),
    Plan(2, "rabbitmq", "sqlite", OTHER, "ask"),
    Plan(3, "redis", "postgresql", OTHER, "resend"),
    Plan(4, "rabbitmq", "postgresql", ONE, "resend"),
    Plan(5, "redis", "sqlite", OTHER, "resend"),
    Plan(6, "rabbitmq", "sqlite", BOTH, "ask", cooldown=3, people=16),
    Plan(7, "redis", "postgresql", ONE, "ask"),
    Plan(8, "rabbitmq", "postgresql", OTHER, "resend"),
    Plan(9, "redis", "sqlite", BOTH, "resend"),
    Plan(10, "rabbitmq", "postgresql", BOTH, "ask"),
)

# For every run of the tests: needs nothing of the machine, and is over in less than a minute.
SHORT = Plan(
    101,
    gateways=OTHER,
    ambiguous="resend",
    messages=25,
    least=8,
    most=14,
    people=9,
    cooldown=3,
    oversleeps=False,
    ttl=8,
)
