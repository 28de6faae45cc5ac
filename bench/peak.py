"""Runs a command and writes how long it took, the most memory it held and how it ended, as JSON: `peak.py INTO CMD...`.

A process of its own that imports next to nothing: the system counts as a child's peak also what its parent held when
it started it.
"""

import json
import os
import subprocess
import sys
import time

if __name__ == "__main__":
    began = time.perf_counter()
    process = subprocess.Popen(sys.argv[2:])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    megabytes = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    with open(sys.argv[1], "w") as into:  # noqa: PTH123 (pathlib would be one import more)
        json.dump({"seconds": seconds, "peak": megabytes, "ended": process.returncode}, into)
