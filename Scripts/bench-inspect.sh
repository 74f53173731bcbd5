#!/usr/bin/env bash
# Scans a server behind a round trip of 50 ms with tlsinspect, sslscan and sslyze, and compares times and
# what was found; or forwards connections with tlsinspect and haproxy, and compares what that costs.
#
#   Scripts/bench-inspect.sh               builds tlsinspect, starts nginx and the delay
#   Scripts/bench-inspect.sh forward       short connections, throughput, and 8,000 connections held
#   TLSINSPECT=path Scripts/bench-inspect.sh ...     takes a tlsinspect that is built
#
# `forward`: one thread each, on the first processor; load and backend (relay-load.c) are on the second.
# haproxy logs nothing, tlsinspect writes each connection into a file, or with -q nothing. ROUNDS (3) and
# SECONDS_EACH (5) are the environment's; the medians and their ratios are the last lines.
#
# The delay is python3's: each direction is held up by 25 ms, connections are told at once. sslscan (apt)
# and sslyze (PyPI) are left out when they are not installed.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tool="${TLSINSPECT:-}"
if [[ -z $tool ]]; then
    need_swift
    swift build -c release --product tlsinspect
    tool="$(swift build -c release --show-bin-path)/tlsinspect"
fi
work="$(mktemp -d)"
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

if [[ ${1:-} == forward ]]; then
    source "$(dirname "${BASH_SOURCE[0]}")/bench-forward.sh"
    exit
fi

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=a.test \
    -addext subjectAltName=DNS:a.test -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
# nginx, as it answers many at once; it goes into the background when it listens.
cat >"$work/nginx.conf" <<CONF
daemon on; pid $work/nginx.pid; error_log $work/error.log; worker_processes 1;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
    uwsgi_temp_path $work/d; scgi_temp_path $work/e;
    server {
        listen unix:$work/nginx.sock ssl http2; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    }
}
CONF
nginx -p "$work" -c "$work/nginx.conf" -e "$work/error.log" 2>/dev/null
pids+=("$(cat "$work/nginx.pid")")

cat >"$work/delay.py" <<'PROXY'
import asyncio, sys
DELAY = 0.025
async def pump(reader, writer):
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue()
    async def out():
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                try: writer.close()
                except OSError: pass
                return
            writer.write(data)
    task = asyncio.create_task(out())
    try:
        while True:
            data = await reader.read(65536)
            await queue.put((loop.time() + DELAY, data))
            if not data: break
    except OSError:
        await queue.put((loop.time() + DELAY, b""))
    await task
async def serve(reader, writer):
    # The round trip of connecting, which the loopback interface does not have.
    await asyncio.sleep(2 * DELAY)
    try: r, w = await asyncio.open_unix_connection(sys.argv[1])
    except OSError: return writer.close()
    await asyncio.gather(pump(reader, w), pump(r, writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
PROXY
python3 "$work/delay.py" "$work/nginx.sock" >"$work/port" &
pids+=($!)
until [[ -s $work/port ]]; do read -r -t 0.05 <> <(:) || true; done
port="$(cat "$work/port")"

measure() {
    local name="$1" start end
    shift
    start="$(date +%s%N)"
    "$@" >"$work/$name.out" 2>"$work/$name.err" || true
    end="$(date +%s%N)"
    printf '%-18s %6d ms  %s\n' "$name" $(((end - start) / 1000000)) "$(summary "$name")"
}

summary() {
    case "$1" in
    tlsinspect*) python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
print(r["cost"]["connections"], "connections,", r["cost"]["rounds"], "rounds,",
    sum(len(s["suites"]) for s in r["suites"]), "suites,", len(r["groups"][-1]["groups"]), "groups")
' "$work/$1.out" ;;
    sslscan) echo "$(grep -cE '^(Accepted|Preferred)' "$work/$1.out") suites," \
        "$(grep -cE '^TLSv1.3 +[0-9]+ bits' "$work/$1.out") groups" ;;
    *) : ;;
    esac
}

measure tlsinspect "$tool" scan "127.0.0.1:$port" --sni a.test --format json
measure tlsinspect-fast "$tool" scan "127.0.0.1:$port" --sni a.test --fast --format json
if command -v sslscan >/dev/null; then
    measure sslscan sslscan --no-colour --sni-name=a.test "127.0.0.1:$port"
fi
if command -v sslyze >/dev/null; then measure sslyze sslyze "127.0.0.1:$port"; fi

# 500 addresses of this machine, one nginx: when its processor is busy all the time, it is what is waited for.
cat >"$work/many.conf" <<CONF
daemon on; pid $work/many.pid; error_log $work/error.log; worker_processes 1;
events { worker_connections 2048; }
http {
    access_log off;
    client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
    uwsgi_temp_path $work/d; scgi_temp_path $work/e;
    server {
        listen 0.0.0.0:$((port == 65535 ? 1024 : port + 1)) ssl backlog=1024;
        ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    }
}
CONF
nginx -p "$work" -c "$work/many.conf" -e "$work/error.log" 2>/dev/null
pids+=("$(cat "$work/many.pid")")
worker="$(ps -o pid= --ppid "$(cat "$work/many.pid")" | tr -d ' ')"
for place in $(seq 0 499); do
    echo "127.0.$((place / 250)).$((place % 250 + 1)):$((port == 65535 ? 1024 : port + 1)) a.test"
done >"$work/hosts"
# Ticks of 10 ms that a process has used.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
for jobs in 1 32 128; do
    before="$(ticks "$worker")"
    start="$(date +%s%N)"
    "$tool" expiry --file "$work/hosts" --ca "$work/cert.pem" --jobs "$jobs" --format jsonl >"$work/expiry.out" || true
    spent=$((($(date +%s%N) - start) / 1000000))
    printf 'expiry --jobs %-4d %6d ms  %d servers answered, the server'"'"'s processor was busy %d %% of it\n' "$jobs" \
        "$spent" "$(grep -c '"result":"ok"' "$work/expiry.out")" $((1000 * ($(ticks "$worker") - before) / spent))
done
