"""The same alert rules for whoever evaluates those of Prometheus: vmalert, Mimir, or a Prometheus that federates.

There a rule fires where its expression gives anything, so nothing is compared to `bool`; and no data is no alert, so
the one rule that needs it asks for absence.
"""

from grafana_datasource.provisioning.alerting import INTERVAL_SECONDS, RULES
from grafana_datasource.provisioning.names import RULE_GROUP, Json
from grafana_datasource.provisioning.rule import Rule
from grafana_datasource.provisioning.site import Site


def rule_file(site: Site) -> Json:
    """Return a file of rules in Prometheus' format; the rule that asks through Infinity has no place in it."""
    rules = [_rule(rule, site) for rule in RULES if "expr" in rule.query]
    return {"groups": [{"name": RULE_GROUP, "interval": f"{INTERVAL_SECONDS}s", "rules": rules}]}


def _rule(rule: Rule, site: Site) -> Json:
    return {
        "alert": rule.title,
        "expr": _expression(rule),
        "for": rule.pending,
        "keep_firing_for": rule.holds,
        "labels": rule.labels,
        "annotations": rule.annotations(site),
    }


def _expression(rule: Rule) -> str:
    expression = str(rule.query["expr"]).replace(" bool ", " ")
    selector = expression.partition(" ")[0]
    return f"{expression} or absent({selector})" if rule.no_data == "Alerting" else expression
