"""The environment of the templates that become pages in HTML."""

from __future__ import annotations

import jinja2

__all__ = ["html_templates"]


def html_templates(*packages: str) -> jinja2.Environment:
    """The templates of `packages`, which come first, and of the reports: what is filled in is escaped, and has to be there."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in (*packages, "pipeline.report")]),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
