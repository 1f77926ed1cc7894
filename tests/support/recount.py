"""Figures of notices, counted once more: plain loops over what ``notice show --json`` prints.

Only times, senders and the history are used, not the states that the store keeps. Nothing of the
program is imported.
"""

from datetime import datetime

OPEN = ("received", "located")


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def replay(notice):
    """Each item's state, last removal, number of reopenings, deadline, lateness and last reason.

    From the history alone. A step may give an item another deadline.
    """
    due = seconds(notice["history"][0]["detail"]["deadline"])
    items = {one["number"]: ["received", None, 0, due, False, ""] for one in notice["items"]}
    for step in notice["history"]:
        if step["kind"] == "state":
            item = items[step["item"]]
            item[0] = step["detail"]["to"]
            item[5] = step["detail"]["reason"]
            if item[0] == "removed":
                item[1] = seconds(step["detail"].get("removed", step["time"]))
                item[4] = item[4] or item[1] > item[3]
            item[2] += item[0] == "received"
            if "deadline" in step["detail"]:
                item[3] = seconds(step["detail"]["deadline"])
    return items


def percentile(hours, percent):
    """The first value that at least ``percent`` % of all values do not exceed."""
    for one in sorted(hours):
        if 100 * sum(other <= one for other in hours) >= percent * len(hours):
            return one
    return None


def removal(times):
    """Of (hours, whether removed) of each item that was removed or is open."""
    removed = [hours for hours, is_removed in times if is_removed]
    found = {"removed": len(removed)}
    for limit in (1, 12, 24):
        inside = sum(hours <= limit for hours in removed)
        outside = sum(hours > limit for hours, _ in times)
        found[f"within_{limit}h"] = inside / (inside + outside) if inside + outside else None
    for name, percent in (("median", 50), ("p90", 90), ("p95", 95)):
        found[f"hours_{name}"] = percentile(removed, percent)
    return found


def classes(times):
    """Number of removed items by the class of their hours; the upper end belongs to a class."""
    found = [0] * 9
    for hours, is_removed in times:
        if is_removed:
            found[sum(hours > end for end in (1, 2, 4, 8, 12, 24, 48, 168))] += 1
    return found


def recount(notices, since, until, made):
    found = dict.fromkeys(
        ("notices", "items", "repeats", "reopened", "open", "overdue", "without_sent",
         "open_before", "overdue_before"), 0,
    )  # fmt: skip
    states, senders, months, sent_times, received_times = {}, {}, {}, [], []
    in_time = late = 0
    reasons = {}
    repeated_by = [
        step["detail"]["by"] for n in notices for step in n["history"] if step["kind"] == "repeated"
    ]
    for notice in notices:
        received = seconds(notice["received"])
        items = replay(notice)
        if received < since:
            for state, _, _, deadline, *_ in items.values():
                if state in OPEN:
                    found["open_before"] += 1
                    found["overdue_before"] += deadline < made
        if not since <= received < until:
            continue
        sent = received if notice["sent"] is None else min(received, seconds(notice["sent"]))
        found["notices"] += 1
        found["repeats"] += repeated_by.count(notice["id"])
        month = months.setdefault(notice["received"][:7], ([], []))
        for state, removed, reopened, deadline, was_late, reason in items.values():
            found["items"] += 1
            states[state] = states.get(state, 0) + 1
            key = (notice["authority"] or notice["sender"], state)
            senders[key] = senders.get(key, 0) + 1
            found["without_sent"] += notice["sent"] is None
            found["reopened"] += reopened > 0
            if state == "not-here":
                kind = reason.split(":")[0]
                reasons[kind] = reasons.get(kind, 0) + 1
            if state in OPEN:
                found["open"] += 1
                found["overdue"] += deadline < made
                late += deadline < made
            elif state == "removed":
                in_time += not was_late
                late += was_late
            else:
                continue
            until_when = removed if state == "removed" else made
            sent_times.append(((until_when - sent) / 3600, state == "removed"))
            received_times.append(((until_when - received) / 3600, state == "removed"))
            month[0].append(sent_times[-1])
            month[1].append(received_times[-1])
    return {
        **found,
        **removal(sent_times),
        "from_received": removal(received_times),
        "within_deadline": in_time / (in_time + late) if in_time + late else None,
        "months": {
            name: {"from_sent": removal(sent), "from_received": removal(received)}
            for name, (sent, received) in months.items()
        },
        "states": states,
        "senders": senders,
        "not_here": reasons,
        "classes": classes(sent_times),
    }
