"""What operators want of some series: which policies match a series, and what they come to together."""

from collector_processor.policy.policies import Policies, PoliciesInForce

__all__ = ["Policies", "PoliciesInForce"]
