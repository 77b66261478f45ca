"""`python -m tests.campaign.teeth [NAME…]`: plant a bug in a copy of the package, run the tests that should see it, and say
whether they did. A suite that stays green over any of them is worth nothing there. The first list is about money and
pictures; `planted` has the one about what is remembered between builds.

Knows the bugs as replacements of text; one that no longer matches is an error, not a pass.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.campaign.planted import REMEMBERED, Bug

ROOT = Path(__file__).parent.parent.parent
COPIED = ("qwenbuild", "tests", "examples", "docs", "schemas", "pyproject.toml", "README.md", ".gitignore")
PATIENCE = 900.0


CRASH = ("tests/cache/test_cache_crash.py",)
JOURNAL = ("tests/cache/test_cache_journal.py",)
LISTS = ("tests/providers/test_dashscope_lookup.py",)
SILENCE = ("tests/providers/test_silence.py",)
SETTLE = ("tests/test_run_settle.py",)
RETRY = ("tests/providers/test_retry.py",)


def recover(words: str) -> tuple[str, ...]:
    """The tests of recovery whose name has these words."""
    return ("tests/test_run_recover.py", "-k", words)


BUGS = (
    Bug(
        "a file is renamed before its bytes are durable",
        "cache/fsops.py",
        "            if durable:\n                ops.fsync(fd)",
        "            pass",
        CRASH,
    ),
    Bug(
        "a new name is not made durable",
        "cache/fsops.py",
        "        if durable:\n            self.ops.fsync_folder(path.parent)",
        "        pass",
        CRASH,
    ),
    Bug(
        "the new names of a batch are not made durable",
        "cache/fsops.py",
        "        for folder in sorted({path.parent for path, _ in files}):\n            self.ops.fsync_folder(folder)",
        "        pass",
        CRASH,
    ),
    Bug(
        "the folders of a batch are not made durable",
        "cache/fsops.py",
        "        for parent in parents:\n            self.ops.fsync_folder(parent)",
        "        pass",
        CRASH,
    ),
    Bug(
        "the journal says stored before the receipt is there",
        "run/collect.py",
        "    cache.put_receipts(results)\n",
        "    cache.journal.stored_many({result.attempt: (result.digest, result.billed) for result in results})\n"
        "    cache.put_receipts(results)\n",
        recover("before_the_receipt"),
    ),
    Bug(
        "something is awaited between answer and ticket",
        "run/submit.py",
        "        return commit(progress, attempt, await provider.submit(order, body, gate))",
        "        ticket = await provider.submit(order, body, gate)\n        await asyncio.sleep(0.05)\n"
        "        return commit(progress, attempt, ticket)",
        recover("written_down_before"),
    ),
    Bug(
        "a submission is not shielded from cancellation",
        "run/submit.py",
        "await asyncio.shield(asyncio.create_task(committed(), name=SUBMIT))",
        "await committed()",
        recover("cancelled_still"),
    ),
    Bug(
        "a timeout counts as never sent",
        "transport/http.py",
        "    if gate.written:",
        "    if gate.written and not isinstance(error, httpx.TimeoutException):",
        ("tests/providers/test_departure.py", "tests/providers/test_conformance.py"),
    ),
    Bug(
        "a request is marked as written when it is whole",
        "transport/connection.py",
        "        gate.written = True\n        try:\n",
        "        try:\n",
        ("tests/providers/test_departure.py",),
    ),
    Bug(
        "a request passes its gate before its way is open",
        "transport/http1.py",
        "        connection = await self._connection(request.url, timeouts)\n",
        '        await (request.extensions.get("gate") or Gate())()\n'
        "        connection = await self._connection(request.url, timeouts)\n",
        ("tests/providers/test_departure.py",),
    ),
    Bug(
        "after any error it is sent again",
        "pace/retry.py",
        '    "none": Rule(Then.DOUBT),',
        '    "none": Rule(Then.AGAIN, 4),',
        RETRY,
    ),
    Bug(
        "a lost task is bought again",
        "pace/retry.py",
        '    (Lost, "collect"): Rule(Then.DOUBT),',
        '    (Lost, "collect"): Rule(Then.ANEW, 2),',
        RETRY,
    ),
    Bug(
        "a 429 closes what may have arrived",
        "run/submit.py",
        "    if not sending.perhaps_sent:\n        job.progress",
        "    if True:\n        job.progress",
        recover("may_have_arrived"),
    ),
    Bug(
        "each try has another idempotency key",
        "providers/apiframe.py",
        '"Idempotency-Key": key}',
        '"Idempotency-Key": f"{key}-{self.waits.steady()}"}',
        recover("429_after_a_lost"),
    ),
    Bug(
        "one empty look at a task list is believed",
        "run/recover.py",
        "(min(times.settle, max(0.0, times.settle - waited)), times.pause)",
        "(min(times.settle, max(0.0, times.settle - waited)),)",
        recover("one_empty_look"),
    ),
    Bug(
        "a task list is matched without its time window",
        "providers/dashscope/tasks.py",
        "        return since - SLACK_S <= self.created <= until + SLACK_S",
        "        return True",
        LISTS,
    ),
    Bug(
        "a task list is believed that has a gap",
        "providers/dashscope/lookup.py",
        "            if listing.gap:",
        "            if False:",
        LISTS,
    ),
    Bug(
        "a task list proves absence without the server's clock",
        "providers/dashscope/tasks.py",
        "        return not self.gap and self.clock_difference_s is not None",
        "        return not self.gap",
        LISTS,
    ),
    Bug(
        "a task list is asked by this machine's clock",
        "providers/dashscope/tasks.py",
        "    if ahead is None or abs(ahead) <= CLOCK_TOLERANCE_S:",
        "    if True:",
        LISTS,
    ),
    Bug(
        "only the first page of a task list is read",
        "providers/dashscope/tasks.py",
        "            if len(lines) == total:",
        "            if lines or not total:",
        LISTS,
    ),
    Bug(
        "an error in a 200 is a task list",
        "providers/dashscope/provider.py",
        "record is None or fault_of(record) is not None:",
        "record is None:",
        LISTS,
    ),
    Bug(
        "a task of these words at another time counts as none",
        "providers/dashscope/lookup.py",
        "            else:\n                unsure = True",
        "            elif prompt is None:\n                unsure = True",
        LISTS,
    ),
    Bug(
        "the page of something on the way loses a ticket",
        "providers/apiframe.py",
        "        if answer.status == 404 and _error_message(record):",
        "        if answer.status == 404:",
        SILENCE,
    ),
    Bug(
        "a failure that names no task ends a ticket",
        "providers/dashscope/provider.py",
        'if answer.status != 200 or text(output.get("task_id")) != task:',
        'if answer.status != 200 or text(output.get("task_id")) not in ("", task):',
        SILENCE,
    ),
    Bug(
        "a success that names no picture is lost at once",
        "pace/polling.py",
        "        return left > 0",
        "        return False",
        SILENCE,
    ),
    Bug(
        "what a person gave up is nobody's rival",
        "run/recover.py",
        "(AttemptState.INTENT, AttemptState.DOUBT, AttemptState.DROPPED)",
        "(AttemptState.INTENT, AttemptState.DOUBT)",
        ("tests/test_run_lookup.py", "-k", "gave_up"),
    ),
    Bug(
        "a key that the provider has forgotten is sent again",
        "run/recover.py",
        "    if age >= job.progress.world.times.retention:",
        "    if job.progress.world.waits.wall() - attempt.sent >= job.progress.world.times.retention:",
        ("tests/test_run_lookup.py", "-k", "forgotten"),
    ),
    Bug(
        "an intent is resent while the provider's clock is not known",
        "run/recover.py",
        "    if ahead is None:\n        return left_open",
        "    if False:\n        return left_open",
        ("tests/test_run_lookup.py", "-k", "clock_is_not_known"),
    ),
    Bug(
        "what could not be asked is in doubt",
        "run/recover.py",
        "        if isinstance(tickets, ProviderError):\n            return left_open(job, tickets)",
        "        if isinstance(tickets, ProviderError):\n            return None",
        ("tests/test_run_lookup.py", "-k", "could_not_be_asked"),
    ),
    Bug(
        "a task list is waited for after each lost answer",
        "run/recover.py",
        "    progress.settled.add(attempt.key)",
        "    pass",
        SETTLE,
    ),
    Bug(
        "open intents wait in turns",
        "run/recover.py",
        "async with tickets if attempt.ticket is not None else contextlib.nullcontext():",
        "async with tickets:",
        SETTLE,
    ),
    Bug(
        "an upload's address is used for ever",
        "providers/apiframe.py",
        "if link is None or self.waits.steady() - link[1] > LINK_LIVES_S:",
        "if link is None:",
        ("tests/providers/test_apiframe.py",),
    ),
    *(
        Bug(f"a 429 of {name} is read by its body", f"{name}.py", old, new, ("tests/providers/test_throttled.py",))
        for name, old, new in (
            ("providers/dashscope/provider", "if fault is None and answer.status == 429:", "if False:"),
            ("providers/dashscope/errors", "if status == 429 and meaning not in ON_429:", "if False:"),
            ("providers/apiframe", "        if status == 429:\n", "        if status == 429 and message:\n"),
            (
                "providers/qwen2512",
                "        if answer.status == 429 or code == 429:\n            return",
                "        if False:\n            return",
            ),
            ("providers/openai", "        if status == 429:\n", "        if status == 429 and message:\n"),
            ("transport/http", "            if status == 429:\n", "            if False:\n"),
        )
    ),
    Bug(
        "one task is adopted for two requests",
        "run/recover.py",
        "    if len(tickets) != 1 or _rivals(job.progress, attempt):",
        "    if not tickets:",
        recover("two_seeds"),
    ),
    Bug(
        "a doubt resolves itself",
        "cache/attempts.py",
        'AttemptState.READY, AttemptState.DOUBT)\n"""At most',
        'AttemptState.READY)\n"""At most',
        JOURNAL,
    ),
    Bug(
        "two live attempts of one key",
        "cache/journal.py",
        '            if holder.id != row["names_attempt"] or holder.state is not AttemptState.DOUBT:\n'
        "                return Busy(holder)",
        "            pass",
        JOURNAL,
    ),
    Bug(
        "living builds count as dead",
        "cache/builds.py",
        "            return not _lock(fd, shared=True, wait=False)",
        "            return False",
        ("tests/cache/test_cache_builds.py",),
    ),
    Bug(
        "tickets of what is no longer wanted are left to die",
        "run/schedule.py",
        "if not journal.is_alive(a.build)]",
        "if not journal.is_alive(a.build) and a.entry in ()]",
        recover("no_longer_wanted"),
    ),
    Bug(
        "an error of the disk is a miss",
        "cache/blobs.py",
        "        except FileNotFoundError:\n            return False\n        return True",
        "        except OSError:\n            return False\n        return True",
        ("tests/cache/test_cache_faults.py", "tests/cache/test_cache_blobs.py"),
    ),
    Bug(
        "bytes are not hashed when read",
        "cache/blobs.py",
        "        if sha256(data) != digest:\n            raise self.set_aside(digest)\n        return data",
        "        return data",
        ("tests/cache/test_cache_blobs.py",),
    ),
    Bug(
        "diskcache evicts as it likes",
        "cache/index.py",
        '    "eviction_policy": "none",',
        '    "eviction_policy": "least-recently-stored",',
        ("tests/cache/test_cache_index.py",),
    ),
    Bug(
        "diskcache retries for ever",
        "cache/index.py",
        "store.set(key, value, retry=False)\n",
        "store.set(key, value, retry=True)\n",
        ("tests/cache/test_cache_index.py",),
    ),
    Bug(
        "redirects are followed with the key",
        "transport/http.py",
        "                gate.written = True  # whatever carried it: what is answered has arrived\n",
        "                gate.written = True\n"
        '                if "location" in response.headers:\n'
        '                    return await self.post(response.headers["location"], headers, body, gate, read=read)\n',
        ("tests/providers/test_http.py", "tests/providers/test_conformance.py"),
    ),
    Bug(
        "signed links stay in the journal",
        "cache/journal.py",
        "        if state in WIPED:",
        "        if state in ():",
        JOURNAL,
    ),
    Bug(
        "the key forgets the seed",
        "key.py",
        "    return hashlib.sha256(canonical(document(action))).hexdigest()",
        '    return hashlib.sha256(canonical({**document(action), "seed": 0})).hexdigest()',
        ("tests/test_key.py",),
    ),
    Bug(
        "two spellings of a path are two files",
        "expand/paths.py",
        'folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())',
        'return unicodedata.normalize("NFC", path)\n    folded = path',
        ("tests/expand",),
    ),
    Bug(
        "the gallery does not escape",
        "gallery/page.py",
        "Environment(autoescape=True,",
        "Environment(autoescape=False,",
        ("tests/gallery/test_gallery_pages.py",),
    ),
    Bug(
        "young temporary files of another build are removed",
        "tree.py",
        "stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > STALE_S",
        "stat.S_ISREG(status.st_mode)",
        ("tests/test_tree.py",),
    ),
    Bug(
        "a person's file is overwritten",
        "tree.py",
        '            raise NotWritten("the file changed while the build ran; it is left alone")',
        "            return _replace(descriptor, name, fill)",
        ("tests/test_tree.py",),
    ),
    Bug(
        "a submission that is on its way is not counted",
        "pace/spacing.py",
        "(steady, steady + OVERDUE_S)]",
        "]",
        ("tests/providers/test_lanes.py",),
    ),
    Bug(
        "a submission leaves before it is due",
        "pace/lanes.py",
        "            await self._waits.sleep(min(pause, MAX_LEAD_S))",
        "            return",
        ("tests/providers/test_lanes.py",),
    ),
    Bug(
        "a part that stores pictures is imported when the first has come",
        "engine/context.py",
        "        load_later(pictures=_decodes(planned))\n",
        "",
        ("tests/campaign/test_local_faults.py", "-k", "imported"),
    ),
)


def plant(copy: Path, bug: Bug) -> str:
    """Put the bug in; the file's text as it was. Raises ValueError when the place is not found exactly once."""
    path = copy / "qwenbuild" / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.old) < 1:
        raise ValueError(f"{bug.name}: {bug.file} no longer has its place")
    path.write_text(text.replace(bug.old, bug.new, 1), encoding="utf-8")
    return text


def tests_fail(copy: Path, seen: Sequence[str], *, loud: bool) -> bool:
    """Whether the tests turn red, or never end; `loud`: what they say then is shown."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *seen]
    environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environ, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1):
        raise ValueError(f"pytest ended with {done.returncode}: {done.stdout.decode()[-600:]}")
    if done.returncode and loud:
        print(done.stdout.decode(errors="replace")[-3000:], file=sys.stderr, flush=True)
    return done.returncode != 0


def copied(folder: Path) -> Path:
    """A copy of the package and its tests."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def bite(bugs: Sequence[Bug]) -> Iterator[tuple[Bug, str, float]]:
    """Each bug, what its tests were (red, GREEN, or red without it, too), and after how many seconds."""
    sound: dict[tuple[str, ...], bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        for bug in bugs:
            if bug.seen not in sound:
                sound[bug.seen] = not tests_fail(copy, bug.seen, loud=True)
            text, start = plant(copy, bug), time.monotonic()
            try:
                seen = tests_fail(copy, bug.seen, loud=False)
                yield bug, ("red" if sound[bug.seen] else "RED ANYWAY") if seen else "GREEN", time.monotonic() - start
            finally:
                (copy / "qwenbuild" / bug.file).write_text(text, encoding="utf-8")


def main(names: Sequence[str]) -> int:
    """Print the table; 1 when a bug was not seen."""
    bugs = [bug for bug in (*BUGS, *REMEMBERED) if not names or any(name in bug.name for name in names)]
    missed = 0
    for bug, color, seconds in bite(bugs):
        missed += color != "red"
        print(f"{color:<11}{seconds:6.1f} s  {bug.name}  ({bug.file})", flush=True)
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs were seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
