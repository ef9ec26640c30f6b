"""The shop's own metrics, and what each served request does to them.

The live services hand the measurements to SDK instruments, the back-fill adds them up itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from examples.shop.model import CATEGORIES, PAYMENT_METHODS, Basket, Operation


class MetricKind(Enum):
    """The instruments the shop uses."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    UP_DOWN_COUNTER = "up/down counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric of one service; its series differ in at most one attribute."""

    name: str
    service: str
    kind: MetricKind
    unit: str
    description: str
    attribute: str = ""
    labels: tuple[str, ...] = ("",)

    def attributes(self, label: str) -> dict[str, str]:
        """Return the attributes of the series with this label."""
        return {self.attribute: label} if self.attribute else {}


class Measurement(NamedTuple):
    """One amount added to a counter or recorded in a histogram."""

    spec: MetricSpec
    label: str
    amount: float


ORDERS: Final = MetricSpec(
    "shop.orders",
    "checkout",
    MetricKind.COUNTER,
    "{order}",
    "Orders accepted.",
    "shop.payment.method",
    tuple(PAYMENT_METHODS),
)
ORDER_VALUE: Final = MetricSpec(
    "shop.order.value", "checkout", MetricKind.HISTOGRAM, "EUR", "Value of the orders accepted."
)
ORDER_VALUE_BOUNDS: Final = (10.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 150.0, 250.0)
QUEUE_DEPTH: Final = MetricSpec(
    "shop.queue.depth", "checkout", MetricKind.GAUGE, "{order}", "Orders waiting to be packed."
)
PAYMENTS: Final = MetricSpec(
    "shop.payments",
    "payment",
    MetricKind.COUNTER,
    "{payment}",
    "Payments tried.",
    "shop.payment.outcome",
    ("approved", "failed"),
)
CART_ITEMS: Final = MetricSpec(
    "shop.cart.items", "cart", MetricKind.UP_DOWN_COUNTER, "{item}", "Items lying in open carts."
)
STOCK_LEVEL: Final = MetricSpec(
    "shop.stock.level",
    "inventory",
    MetricKind.GAUGE,
    "{item}",
    "Items on the shelves.",
    "shop.product.category",
    tuple(CATEGORIES),
)

METRICS: Final = (ORDERS, ORDER_VALUE, QUEUE_DEPTH, PAYMENTS, CART_ITEMS, STOCK_LEVEL)


def measurements_of(operation: Operation, status: int, basket: Basket) -> Iterator[Measurement]:
    """Yield what one answered operation adds to counters and histograms."""
    is_failure = status >= 500
    if operation.name == "payment.charge":
        yield Measurement(PAYMENTS, "failed" if is_failure else "approved", 1)
    elif operation.name == "checkout.order" and not is_failure:
        yield Measurement(ORDERS, basket.payment_method, 1)
        yield Measurement(ORDER_VALUE, "", basket.value)
