# Runs the agent on a host: fetches it unless it is there, checks its SHA-256 each time, then becomes it.
# Given before these lines: KEY, SHA256, URL, TASK, ARGUMENTS. Needs python3 and coreutils, no AWS tools.
set -eu
fail() { status=$1; shift; echo "swarmkeeper: $*" >&2; exit "$status"; }
sum() { sha256sum "$1" 2>/dev/null | cut -d ' ' -f 1; }

command -v python3 >/dev/null || fail 69 "python3 is not installed on this host: install it"
cache=${SWARMKEEPER_CACHE:-/var/cache/swarmkeeper}
agent=$cache/$KEY

if [ "$(sum "$agent")" != "$SHA256" ]; then
  mkdir -p -m 0700 "$cache" || fail 73 "cannot write to $cache: mend its owner and mode"
  fresh=$(mktemp "$cache/fetch-XXXXXX") || fail 73 "cannot write to $cache: make room on this host"
  trap 'rm -f "$fresh"' EXIT
  python3 - "$URL" "$fresh" <<'PYTHON' || exit 69
import shutil, sys, urllib.request
url, path = sys.argv[1:]
try:
    with urllib.request.urlopen(url, timeout=10) as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file)
except Exception as error:
    address = url.partition("?")[0]  # what follows is the signature
    sys.exit(f"swarmkeeper: no agent from {address} ({error}): let this host reach S3")
PYTHON
  found=$(sum "$fresh")
  [ "$found" = "$SHA256" ] || fail 65 "the fetched agent has SHA-256 $found, not $SHA256: publish and deploy again"
  mv -f "$fresh" "$agent"
  trap - EXIT
fi
exec python3 "$agent" "$TASK" "$ARGUMENTS"
