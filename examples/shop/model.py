"""The one description of the shop: its services, their work, their errors and the rhythm of its customers.

The live services execute this description and the back-fill simulates it, so what was and what is differ in nothing but
the luck of the draw.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from types import MappingProxyType
from typing import Final

VERSION: Final = "1.4.0"
ENVIRONMENT: Final = "demo"
DEFAULT_SEED: Final = 20_261
MINUTE_UNIX_NANO: Final = 60_000_000_000

PAYMENT_METHODS: Final = {"card": 0.62, "paypal": 0.27, "invoice": 0.11}
CATEGORIES: Final = {"books": 0.7, "games": 0.3}

ORDER_VALUE_MEDIAN: Final = 42.0
"""EUR."""
ORDER_VALUE_SPREAD: Final = 0.6
PACKING_MEDIAN_SECONDS: Final = 1.5
"""Work of the one packer on one order."""
PACKING_SPREAD: Final = 0.3
CART_LIFETIME: Final = timedelta(minutes=15)
"""After this time items left in a cart are put back."""
RESTOCK_EVERY: Final = timedelta(hours=6)
RESTOCK_LEVEL: Final = MappingProxyType({"books": 18_000, "games": 8_000})

MEAN_REQUEST_RATE: Final = 0.9
"""Requests per second, averaged over a week."""
_WEEKDAY_FACTORS: Final = (0.98, 0.94, 0.95, 0.98, 1.02, 1.12, 1.01)
_DAY_SECONDS: Final = 86_400
_MONDAY_NOON_UNIX: Final = 388_800
"""1970-01-05 12:00 UTC, the first Monday noon of Unix time."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One HTTP operation of one service; its own work time is log-normal."""

    name: str
    service: str
    method: str
    route: str
    work_median_seconds: float
    work_spread: float
    error_probability: float
    calls: tuple[str, ...] = ()

    @property
    def span_name(self) -> str:
        """The low-cardinality name that the HTTP conventions prescribe."""
        return f"{self.method} {self.route}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One operation made slower and less reliable for as long as the fault is active."""

    name: str
    operation: str
    slowdown: float
    error_probability: float


@dataclass(frozen=True, slots=True)
class Basket:
    """What a customer puts into a cart or orders."""

    payment_method: str
    category: str
    value: float
    items: int


NO_BASKET: Final = Basket(payment_method="", category="", value=0.0, items=0)
"""Somebody who only looks."""

Faults = Mapping[str, Fault]
"""The active faults by the operation they hit."""

NO_FAULTS: Final[Faults] = MappingProxyType({})

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        operation.name: operation
        for operation in (
            Operation("payment.charge", "payment", "POST", "/charges", 0.090, 0.35, 0.010),
            Operation("inventory.reserve", "inventory", "POST", "/reservations", 0.035, 0.30, 0.003),
            Operation("inventory.lookup", "inventory", "GET", "/stock", 0.025, 0.30, 0.002),
            Operation("cart.add", "cart", "POST", "/items", 0.030, 0.30, 0.003),
            Operation(
                "checkout.order",
                "checkout",
                "POST",
                "/orders",
                0.045,
                0.30,
                0.003,
                calls=("inventory.reserve", "payment.charge"),
            ),
            Operation("storefront.browse", "storefront", "GET", "/products", 0.040, 0.35, 0.001, ("inventory.lookup",)),
            Operation("storefront.cart", "storefront", "POST", "/cart", 0.025, 0.35, 0.001, ("cart.add",)),
            Operation(
                "storefront.checkout", "storefront", "POST", "/checkout", 0.030, 0.35, 0.001, ("checkout.order",)
            ),
        )
    }
)

SERVICES: Final = ("storefront", "cart", "checkout", "inventory", "payment")

ENTRIES: Final[Mapping[str, float]] = MappingProxyType(
    {"storefront.browse": 0.45, "storefront.cart": 0.22, "storefront.checkout": 0.33}
)
"""What customers ask for, by share of requests."""

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            Fault("payment-latency", "payment.charge", slowdown=4.0, error_probability=0.20),
            Fault("inventory-errors", "inventory.reserve", slowdown=1.0, error_probability=0.40),
            Fault("cart-latency", "cart.add", slowdown=5.0, error_probability=0.003),
        )
    }
)


def request_rate(unix_seconds: float) -> float:
    """Return the requests per second that customers send at this time (UTC calendar)."""
    return MEAN_REQUEST_RATE * _day_factor(unix_seconds) * _week_factor(unix_seconds)


def work_seconds(operation: Operation, rng: Random, faults: Faults = NO_FAULTS) -> float:
    """Draw how long the operation works itself, without the calls it makes."""
    slowdown = faults[operation.name].slowdown if operation.name in faults else 1.0
    return slowdown * operation.work_median_seconds * math.exp(rng.gauss(0.0, operation.work_spread))


def draw_error(operation: Operation, rng: Random, faults: Faults = NO_FAULTS) -> bool:
    """Draw whether the operation itself fails."""
    fault = faults.get(operation.name)
    return rng.random() < (fault.error_probability if fault else operation.error_probability)


def packing_seconds(rng: Random) -> float:
    """Draw how long the packer needs for one order."""
    return PACKING_MEDIAN_SECONDS * math.exp(rng.gauss(0.0, PACKING_SPREAD))


def operations_of(service: str) -> Iterator[Operation]:
    """Yield the operations that a service offers."""
    return (operation for operation in OPERATIONS.values() if operation.service == service)


def _day_factor(unix_seconds: float) -> float:
    """Return the shape of a day: quiet at 03:30, climbing all day, busiest at 18:30; its mean is 1."""
    turn = 2.0 * math.pi * unix_seconds / _DAY_SECONDS
    return 1.0 + 0.46 * math.cos(turn - 2.0 * math.pi * 17 / 24) + 0.12 * math.cos(2.0 * turn - 4.0 * math.pi * 20 / 24)


def _week_factor(unix_seconds: float) -> float:
    """Interpolate between the noons of neighbouring weekdays, so that midnight is no step."""
    days = (unix_seconds - _MONDAY_NOON_UNIX) / _DAY_SECONDS
    whole = math.floor(days)
    today, tomorrow = _WEEKDAY_FACTORS[whole % 7], _WEEKDAY_FACTORS[(whole + 1) % 7]
    return today + (tomorrow - today) * (days - whole)
