# Runs the agent on a host: fetches it unless it is there, checks its SHA-256 each time, then becomes it.
# It is unpacked once per boot, below /run: Python keeps what it has compiled there, and starts in a third of the time.
# Given before these lines: KEY, SHA256, URL, TASK, ARGUMENTS. Needs Python 3.10 and coreutils, no AWS tools.
# Exit status 65: the published agent is another one; 66: it cannot be fetched; 69, 73: the host lacks something.
set -eu
fail() { status=$1; shift; echo "swarmkeeper: $*" >&2; exit "$status"; }
sum() { sha256sum "$1" 2>/dev/null | cut -d ' ' -f 1; }

# Amazon Linux 2023 and others keep an old python3 for themselves, and install newer ones beside it.
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 none; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break
done
[ "$python" != none ] || fail 69 "this host has no Python 3.10 or later: install one, such as python3.11"
cache=${SWARMKEEPER_CACHE:-/var/cache/swarmkeeper}
agent=$cache/$KEY
unpacked=${SWARMKEEPER_RUN:-/run/swarmkeeper}/${KEY%.pyz}

if [ "$(sum "$agent")" != "$SHA256" ]; then
  mkdir -p -m 0700 "$cache" || fail 73 "cannot write to $cache: fix its owner and mode"
  fresh=$(mktemp "$cache/fetch-XXXXXX") || fail 73 "cannot write to $cache: make room on this host"
  trap 'rm -f "$fresh"' EXIT
  "$python" - "$URL" "$fresh" <<'PYTHON' || exit
import sys, urllib.request
url, path = sys.argv[1:]
def fail(status, text):
    print("swarmkeeper:", text, file=sys.stderr)
    sys.exit(status)
try:
    with urllib.request.urlopen(url, timeout=10) as answer:
        agent = answer.read()
except Exception as error:
    address = url.partition("?")[0]  # what follows is the signature
    missing = getattr(error, "code", 0) in (403, 404)  # S3 says 403, too, of what is not there
    fix = "publish and deploy again" if missing else "let this host reach S3"
    fail(66, f"no agent from {address} ({error}): {fix}")
try:
    with open(path, "wb") as file:
        file.write(agent)
except OSError as error:
    fail(73, f"cannot write the agent ({error}): make room on this host")
PYTHON
  found=$(sum "$fresh")
  [ "$found" = "$SHA256" ] || fail 65 "the fetched agent has SHA-256 $found, not $SHA256: publish and deploy again"
  mv -f "$fresh" "$agent"
  trap - EXIT
fi
if [ ! -d "$unpacked" ] && fresh=$(mkdir -p -m 0700 "${unpacked%/*}" && mktemp -d "$unpacked-XXXXXX"); then
  # Whoever else unpacks it at this moment may be first.
  "$python" -m zipfile -e "$agent" "$fresh" && mv -T "$fresh" "$unpacked" || rm -rf "$fresh"
fi 2>/dev/null
# Agents that nobody has run for a day go; one that still runs was run less than half a day ago. The link is for people.
touch -c "$agent" "$unpacked" 2>/dev/null || :
[ "$(readlink "$cache/agent.pyz" 2>/dev/null)" = "$KEY" ] || ln -sfn "$KEY" "$cache/agent.pyz" 2>/dev/null || :
find "$cache" "${unpacked%/*}" -maxdepth 1 \( -name 'agent-*' -o -name 'fetch-*' \) ! -name "${KEY%.pyz}*" \
  -mmin +1440 -exec rm -rf {} + 2>/dev/null || :
[ ! -d "$unpacked" ] || agent=$unpacked # without room there, the archive runs as well
exec "$python" "$agent" "$TASK" "$ARGUMENTS"
