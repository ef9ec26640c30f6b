"""Answer what people look at first: the list of series, the fleet, services, model quality, small pictures.

The built-in page is made of these and of `rows`; scripts may read them just as well. Times are epoch milliseconds.
"""

from typing import Any

import numpy as np
from flask import Blueprint, Response, request

from collector_processor.clock import DAY
from collector_processor.errors import TooLargeError
from grafana_datasource.backend import Backend, Session
from grafana_datasource.catalog import Wish, catalog_page
from grafana_datasource.chosen import chosen, chosen_one, is_narrowed, open_episodes, service_pattern
from grafana_datasource.fleet import fleet
from grafana_datasource.horizon import COMPONENTS, component
from grafana_datasource.matching import Matcher
from grafana_datasource.naming import Names
from grafana_datasource.quality import model_row, quality
from grafana_datasource.query import MILLISECOND, Params, limit, max_points, optional, time_range, whole
from grafana_datasource.red import operation_rows, service_rows
from grafana_datasource.replies import reply
from grafana_datasource.sparks import spark

_SPARKS = 50
_CELLS = 500
_SERVICES = 1_000


def summary_routes(backend: Backend) -> Blueprint:
    """Return the routes below `/api/v1`."""
    routes, summaries = Blueprint("summaries", __name__, url_prefix="/api/v1"), _Summaries(backend)
    for path, answer in (
        ("/catalog", summaries.catalog),
        ("/fleet", summaries.fleet),
        ("/red", summaries.red),
        ("/quality", summaries.quality),
        ("/sparks", summaries.sparks),
    ):
        routes.add_url_rule(path, path[1:], answer, methods=["GET", "POST"])
    routes.add_url_rule("/series/<text>/components", "components", summaries.components)
    routes.add_url_rule("/series/<text>/models", "models", summaries.models)
    return routes


class _Summaries:
    """The answers; what series are called is remembered between them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._names = Names()

    def catalog(self) -> Response:
        """Answer a page of the list of series."""
        params = request.values
        wish = Wish.of(params, limit(params, self._backend.limits.series))
        with self._backend.session() as session:
            names = self._known(session)
            entries = chosen(params, session) if is_narrowed(params) else None
            series = (
                np.flatnonzero(names.is_modelled)
                if entries is None
                else np.array(sorted({entry.series for entry in entries}), np.int64)
            )
            return reply(catalog_page(session, names, series, open_episodes(session), wish))

    def fleet(self) -> Response:
        """Answer the whole fleet at a glance."""
        params = request.values
        cells = optional(params, "cells", lambda name, text: whole(name, text, 1, _CELLS), 48)
        most = limit(params, _SERVICES)
        with self._backend.session() as session:
            return reply(fleet(session, self._known(session), time_range(params, session.now, DAY), cells, most))

    def red(self) -> Response:
        """Answer rate, errors and duration by service, or by operation of one `service`."""
        params = request.values
        most = limit(params, _SERVICES)
        with self._backend.session() as session:
            opened, rest = open_episodes(session), Params(params)
            for name in ("service", "service_pattern"):  # as span metrics name it: their own may be a Collector's
                rest.poplist(name)
            entries = chosen(rest, session)
            if service := params.get("service"):
                return reply(operation_rows(session, entries, opened, most, service.__eq__))
            return reply(
                service_rows(session, entries, opened, most, Matcher("service", "=~", service_pattern(params)).accepts)
            )

    def quality(self) -> Response:
        """Answer how good the models are."""
        with self._backend.session() as session:
            return reply(quality(session, self._known(session)))

    def sparks(self) -> Response:
        """Answer small pictures of the series that are named."""
        params = request.values
        most = max_points(params, self._backend.limits, 100)
        with self._backend.session() as session:
            entries = chosen(params, session)
            if len(entries) > _SPARKS:
                raise TooLargeError(f"{len(entries)} series match, the limit is {_SPARKS}: name fewer")
            span = time_range(params, session.now, DAY)
            return reply([spark(session, entry, span, most) for entry in entries])

    def components(self, text: str) -> Response:
        """Answer what Prophet's forecast of one series is the sum of, by today's model."""
        params = request.values
        most = max_points(params, self._backend.limits, 400)
        with self._backend.session() as session:
            entry, span = chosen_one(session, text), time_range(params, session.now, DAY)
            times = np.linspace(span.start, span.end, most, endpoint=False).astype(np.int64)
            series = np.full(times.size, entry.series, np.int32)
            parts = {name: component(session.outlook, series, times, name) for name in COMPONENTS}
            found: dict[str, Any] = {name: part for name, part in parts.items() if np.isfinite(part).any()}
            return reply({"time": times // MILLISECOND, **found})

    def models(self, text: str) -> Response:
        """Answer the versions kept of one series' model, the newest first."""
        with self._backend.session() as session:
            entry = chosen_one(session, text)
            return reply([model_row(record) for record in session.reader.model_versions(entry.series)])

    def _known(self, session: Session) -> Names:
        names = self._names = self._names.of(session.outlook.directory)
        return names
