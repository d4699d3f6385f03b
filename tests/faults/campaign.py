"""A long campaign of kills: `python -m tests.faults.campaign --kills 500 [--seed N]`. Ends with 1 at a difference.

Ten kills make one life of an instance; each life must end in the state of one that nobody disturbed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from faultkit import ForkServer, billed_september, differences
from test_kill import survive_kills

KILLS_PER_LIFE = 10


def campaign(kills: int, seed: int) -> int:
    """Number of lives that ended in another state."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ForkServer(folder) as server:
            start = billed_september(server, folder / "september")
            calm = start.copy(folder / "calm")
            calm.do("close", "2026-10")
            expected = calm.fingerprint()
            for life in range(-(-kills // KILLS_PER_LIFE)):
                box = start.copy(folder / "life")
                survive_kills(box, random.Random(f"{seed} {life}"), KILLS_PER_LIFE)
                found = differences(expected, box.fingerprint())
                box.do("verify")
                shutil.rmtree(box.home)
                wrong += bool(found)
                print(f"life {life}: {KILLS_PER_LIFE} kills, {len(found)} differences {found[:3]}", flush=True)
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    sys.exit(1 if campaign(options.kills, options.seed) else 0)
