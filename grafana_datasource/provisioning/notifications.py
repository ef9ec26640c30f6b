"""Examples of who is told: a contact point that brings notifications back to Foreband, one for people, a policy.

They are examples, outside the directory that Grafana reads: provisioned policies replace the whole tree of an
organisation.
"""

from grafana_datasource.provisioning.names import Json
from grafana_datasource.provisioning.site import Site

_BACK, _PEOPLE = "foreband-webhook", "on-call"


def contact_points(site: Site) -> Json:
    """Return a webhook to Foreband, which makes annotations of what it is told, and an e-mail."""
    webhook = {
        "url": f"{site.url}/hooks/grafana",
        "httpMethod": "POST",
        "maxAlerts": 0,
        "hmacConfig": {
            "secret": "$FOREBAND_HMAC",
            "header": "X-Grafana-Alerting-Signature",
            "timestampHeader": "X-Grafana-Alerting-Timestamp",
        },
    }
    mail = {"addresses": "on-call@example.org", "singleEmail": False}
    return {
        "apiVersion": 1,
        "contactPoints": [
            {"orgId": 1, "name": name, "receivers": [{"uid": name, "type": kind, "settings": settings}]}
            for name, kind, settings in ((_BACK, "webhook", webhook), (_PEOPLE, "email", mail))
        ],
    }


def notification_policies() -> Json:
    """Return a tree that tells Foreband of its own alerts, and people of the critical ones at once."""
    ours = ["source", "=", "foreband"]
    routes = [
        {"receiver": _BACK, "object_matchers": [ours], "continue": True, "group_by": ["series"], "group_wait": "30s"},
        {
            "receiver": _PEOPLE,
            "object_matchers": [ours, ["severity", "=", "critical"]],
            "group_by": ["alertname", "service_name"],
            "group_wait": "30s",
            "repeat_interval": "4h",
        },
        {
            "receiver": _PEOPLE,
            "object_matchers": [ours],
            "group_by": ["alertname", "service_name"],
            "group_wait": "5m",
            "repeat_interval": "24h",
        },
    ]
    tree = {"orgId": 1, "receiver": _PEOPLE, "group_by": ["grafana_folder", "alertname"], "routes": routes}
    return {"apiVersion": 1, "policies": [tree]}
