from __future__ import annotations

import os

from harness.store import owner
from harness.store.owner import this_process
from tests.store.processes import start


def test_this_process_is_there() -> None:
    assert this_process().pid == os.getpid()
    assert not this_process().is_gone()


def test_two_leases_of_one_process_have_different_tokens() -> None:
    assert this_process().token != this_process().token


def test_without_a_start_time_a_process_is_gone_when_its_number_is_free() -> None:
    process = start("import sys; sys.stdin.read()")
    here = this_process()
    child = owner.Owner(here.host, process.pid, None, here.boot, here.namespace, "")
    assert not child.is_gone()
    process.communicate("")
    assert child.is_gone()


def test_a_process_whose_name_holds_spaces_and_parentheses_has_its_start_time() -> None:
    process = start(
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.store.owner import this_process\n"
        "before = this_process().started\n"
        "if before is not None: Path('/proc/self/comm').write_text('a) Z 1 (b')\n"
        "print(before == this_process().started)"
    )
    assert process.communicate()[0].strip() == "True"
