"""A small instrumented web shop: five services that call each other over HTTP."""
