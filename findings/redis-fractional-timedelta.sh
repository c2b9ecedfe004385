#!/bin/bash
# redis-py 8.1.0 cuts a timedelta to whole seconds, so that `expire` with less than a second deletes the key.
# Seen: `expire("lease", timedelta(milliseconds=900))` sends `EXPIRE lease 0`: the key is gone at once and the call
# returns True. `set(..., ex=timedelta(milliseconds=1900))` sends `EX 1`, so that a lease ends after 53 % of its time.
# Expected: about the time that was asked for. The docstrings say "`time` can be represented by an integer or a Python
# timedelta object" and nothing of rounding; a float (`expire("lease", 0.9)`) is refused by the server, a timedelta not.
# Who is hurt: leases, locks and presence records: two leaders, replicas that count as dead, a cache that holds nothing.
# A test with timedelta(seconds=30) passes; the first setting below a second, or not whole, fails in production.
# Instead: `pexpire` and `px=` with whole milliseconds; both take a timedelta to the millisecond.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q redis==8.1.0 fakeredis==2.41.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from datetime import timedelta
from importlib.metadata import version

import fakeredis


class Recorded(fakeredis.FakeRedis):
    """A Redis in this process; redis-py's own methods make the commands, which are printed."""

    sent: tuple = ()

    def execute_command(self, *args, **options):
        self.sent = args
        return super().execute_command(*args, **options)


print("redis-py", version("redis"))
client = Recorded()
seen = []

client.set("lease", "replica 1")
answer = client.expire("lease", timedelta(milliseconds=900))
seen.append((client.sent, answer, client.exists("lease")))
print(f"expire, 900 ms: expected a key for 900 ms; sent {seen[0][0]}, returned {answer}, keys left: {seen[0][2]}")

client.set("lease", "replica 1", ex=timedelta(milliseconds=1900))
seen.append(client.sent)
print(f"set(ex=), 1900 ms: expected a key for 1900 ms; sent {client.sent}")

client.set("lease", "replica 1")
client.pexpire("lease", timedelta(milliseconds=900))
print(f"pexpire, 900 ms: sent {client.sent}, keys left: {client.exists('lease')}")

stated = [(("EXPIRE", "lease", 0), True, 0), ("SET", "lease", "replica 1", "EX", 1)]
sys.exit(0 if seen == stated else "The behaviour has changed.")
PYTHON
