import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from voip_portal.accounts import filecache
from voip_portal.accounts.filecache import SharedFileCache


def count_wins(folder: str, rounds: int, queue: Any) -> None:
    cache = SharedFileCache(folder, {})
    queue.put(sum(cache.add(f"key-{n}", os.getpid(), 60) for n in range(rounds)))


def test_of_processes_that_add_the_same_key_exactly_one_wins(tmp_path: Path) -> None:
    context = get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=count_wins, args=(str(tmp_path), 100, queue)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    wins = [queue.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(wins) == 100


def test_threads_of_one_process_compete_too(tmp_path: Path) -> None:
    cache = SharedFileCache(str(tmp_path), {})
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _n: cache.add("key", 1, 60), range(20))) == 1


def test_an_expired_key_can_be_added_again(tmp_path: Path) -> None:
    cache = SharedFileCache(str(tmp_path), {})
    assert cache.add("key", 1, 0.0)
    assert cache.add("key", 2, 60)
    assert cache.get("key") == 2


def test_only_expired_entries_are_thrown_out(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(filecache, "LOOK_EVERY", 1)
    cache = SharedFileCache(str(tmp_path), {})
    cache.set("live", 1, 60)
    cache.set("dead", 1, 0.01)
    while cache.has_key("dead"):
        pass
    cache.set("other", 1, 60)
    assert cache.get("live") == 1
    assert len(list(tmp_path.glob("*.djcache"))) == 2
