"""Explains a configuration in words, and names settings that have no effect."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.config import values
from hashscan.config.password import has_blanks_around
from hashscan.text import local_time, shown

if TYPE_CHECKING:
    from hashscan.config.settings import Settings
    from hashscan.config.sites import SiteSettings


def notes(settings: Settings) -> list[str]:
    """Sentences on settings without an effect, or with an unexpected effect, with the reasons."""
    found: list[str] = []
    service, filters = settings.service, settings.filter
    if filters is not None and values.is_url(filters.source):
        if not settings.allow and "algorithms" in filters.model_fields_set:
            found.append(
                "filter.algorithms: is for a file that does not say so itself, and filter.source"
                " is a repository"
            )
    elif filters is not None:
        found += [
            f"filter.{name}: is for a repository, and filter.source is a file"
            for name in ("root", "username", "password_file", "ca_bundle", "proxy")
            if name in filters.model_fields_set and getattr(filters, name)
        ]
    if service is not None:
        local = service.kind == "local"
        unused = (
            ("url", "username", "password_file", "timeout", "ca_bundle", "test")
            if local
            else ("known", "only_categories")
        )
        found += [
            f"service.{name}: has no effect with kind {service.kind}"
            for name in unused
            if name in service.model_fields_set and getattr(service, name)
        ]
        found += [
            f"{section}.action: no file is moved while service.test is true"
            for section in ("quarantine", "notices")
            if settings.is_test and getattr(settings, section).action == "quarantine"
        ]
    found += [
        f"notify[{index}].url: the URL of such a webhook is a secret, and 'config show' prints it;"
        " write it into a file (chmod 600), and name that as url_file"
        for index, one in enumerate(settings.notify)
        if one.url is not None and one.format == "slack"
    ]
    return [*found, *_passwords(settings)]


def _passwords(settings: Settings) -> list[str]:
    named = {
        "service": settings.service.password_file if settings.service else None,
        "filter": settings.filter.password_file if settings.filter else None,
    }
    return [
        f"{section}.password_file: the password in {shown(path)} begins or ends with a blank, "
        "which is part of it; remove the blank if it is not"
        for section, path in named.items()
        if path is not None and has_blanks_around(path)
    ]


def summary(settings: Settings) -> list[tuple[str, str]]:
    """The configuration summed up in a few lines, each line with a name and a text."""
    service, filters = settings.service, settings.filter
    volumes = ", ".join(shown(volume.path) for volume in settings.volumes)
    if service is None:
        who = "none: give a digest list with --known"
    elif service.kind == "local":
        who = "local: " + ", ".join(shown(path) for path in service.known)
    else:
        who = f"{service.url} as {service.username}" + (" (test)" if service.test else "")
    if filters is not None:
        which = f"{shown(filters.source)}, not older than {values.human_duration(filters.max_age)}"
        if values.is_url(filters.source):
            which = f"{', '.join(filters.categories)} of {which}"
    else:
        which = "none" if service is None else "made from the lists"
    allowed = [("allow", ", ".join(map(shown, settings.allow)))] if settings.allow else []
    notices = settings.notices
    soon = values.human_duration(notices.due_soon)
    mail = "no Maildir" if notices.maildir is None else f"mails from {shown(notices.maildir)}"
    movers = ""
    if notices.maildir is not None and notices.action == "quarantine":
        movers = f", by mails of {', '.join(notices.senders) or 'nobody'}"
    return [
        ("state", shown(settings.state)),
        ("volumes", volumes or "none: give a PATH to scan"),
        ("service", who),
        ("filter", which),
        *allowed,
        ("on a match", settings.quarantine.action),
        ("quarantine", shown(settings.quarantine_directory)),
        ("retention", retention(settings.quarantine.retention)),
        ("sites", ", ".join(_site(one) for one in settings.sites) or "none: URLs lead to no file"),
        (
            "notify",
            ", ".join(f"{one.name} ({one.kind})" for one in settings.notify) or "nobody",
        ),
        *_metrics(settings),
        ("notices", f"{notices.action}{movers}; {mail}; due soon {soon} before the deadline"),
    ]


def _metrics(settings: Settings) -> list[tuple[str, str]]:
    found = settings.metrics
    places = [f"http://{found.listen}/metrics"] if found.listen is not None else []
    places += [shown(found.textfile)] if found.textfile is not None else []
    return [("metrics", ", ".join(places))] if places else []


def _site(site: SiteSettings) -> str:
    value = getattr(site, site.source)
    return f"{site.source} {shown(value[0] if site.command else value)}"


def retention(seconds: float | None) -> str:
    """The effect of the setting ``quarantine.retention`` as it is configured, in words."""
    if seconds is None:
        return "none: contents are kept until 'hashscan quarantine purge' removes them"
    before = local_time(time.time() - seconds)
    return (
        f"{values.human_retention(seconds)}: contents quarantined before {before} are removed for "
        "good"
    )
