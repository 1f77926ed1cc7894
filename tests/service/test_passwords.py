"""Whose password is checked next: known users, then fresh addresses, then the others."""

import threading
import time

import pytest

from hashscan.service.passwords import PasswordChecks, TooManyError
from hashscan.service.users import Credentials, HashedSecret


class SlowCredentials(Credentials):
    """Checks that end when they are let go."""

    def __init__(self):
        super().__init__()
        self.began = []
        self.go = threading.Semaphore(0)

    def check(self, name, password):
        self.began.append(name)
        assert self.go.acquire(timeout=10)
        return password == "right"


def test_known_users_first_then_fresh_addresses_then_the_others():
    import asyncio

    async def story():
        checks, credentials = PasswordChecks(), SlowCredentials()
        checks.seen([("known", "192.0.2.9")])

        async def ask(name, address, password="wrong"):
            return await checks.right(credentials, name, password, address)

        credentials.go.release()
        assert not await ask("x", "192.0.2.1")  # this address has failed
        tasks = [asyncio.create_task(ask(f"bad{n}", "192.0.2.1")) for n in range(6)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(ask("fresh", f"198.51.100.{n}")) for n in range(3)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(ask("known", "192.0.2.9", "right"))]
        await asyncio.sleep(0)
        credentials.go.release(100)
        answers = await asyncio.gather(*tasks)
        assert answers == [False] * 9 + [True]
        began = credentials.began[1:]
        assert began[0] == "bad0"  # one place of two is theirs
        assert began[1] == "fresh"
        assert began.index("known") < 4
        assert max(n for n, name in enumerate(began) if name == "fresh") < began.index("bad5")

    asyncio.run(story())


def test_those_who_wait_are_bounded_and_a_better_one_takes_the_place_of_the_last():
    import asyncio

    async def story():
        checks, credentials = PasswordChecks(), SlowCredentials()
        checks.seen([("known", "192.0.2.9")])

        async def ask(name, address):
            return await checks.right(credentials, name, "right", address)

        tasks = [asyncio.create_task(ask("a", f"198.51.100.{n}")) for n in range(66)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyError):
            await ask("a", "203.0.113.1")
        known = asyncio.create_task(ask("known", "192.0.2.9"))
        await asyncio.sleep(0)
        credentials.go.release(100)
        assert await known
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in answers] == [bool] * 65 + [TooManyError]

    asyncio.run(story())


def test_one_address_has_few_checks_that_wait():
    import asyncio

    async def story():
        checks, credentials = PasswordChecks(), SlowCredentials()
        tasks = [
            asyncio.create_task(checks.right(credentials, f"n{n}", "right", "192.0.2.1"))
            for n in range(20)
        ]
        await asyncio.sleep(0)
        credentials.go.release(100)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in answers if one is True] == [True] * 10

    asyncio.run(story())


def test_users_are_known_again_after_a_restart(prepared):
    from hashscan.service.audit import Audit, ServiceRow

    audit = Audit(prepared.data)
    for name in ("b", "a", "b"):
        audit.note(ServiceRow(time.time(), name, "192.0.2.1", False, "sha1", b"x", "true"))
    audit.commit()
    assert audit.users() == [("a", "192.0.2.1"), ("b", "192.0.2.1")]
    audit.close()


def test_a_check_that_is_cancelled_gives_its_place_back():
    import asyncio

    async def story():
        checks, credentials = PasswordChecks(), SlowCredentials()
        credentials.take({"a": HashedSecret.of("right password")})
        tasks = [
            asyncio.create_task(checks.right(credentials, "a", "right", f"192.0.2.{n}"))
            for n in range(6)
        ]
        await asyncio.sleep(0.05)
        for task in tasks[2:5]:
            task.cancel()
        credentials.go.release(100)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in answers if one is True] == [True] * 3
        assert not checks._queue
        assert set(checks._running.values()) == {0}

    asyncio.run(story())
