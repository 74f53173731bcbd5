# shellcheck shell=bash
# Sourced by bench-inspect.sh: what `listen --forward` costs beside haproxy's tcp mode, in the same run.
# shellcheck disable=SC2154  # tool, work and pids are the caller's

rounds="${ROUNDS:-3}"
seconds="${SECONDS_EACH:-5}"
cc -std=gnu11 -O2 "$(dirname "${BASH_SOURCE[0]}")/relay-load.c" -o "$work/load" -lssl -lcrypto
ulimit -n "$(ulimit -Hn)"

# Ports that nobody has now.
read -r proxy_port backend_port < <(python3 -c '
import socket
held = [socket.socket() for _ in range(2)]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))')

cat >"$work/haproxy.cfg" <<CONF
global
    nbthread 1
    maxconn 9000
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
frontend one
    bind 127.0.0.1:$proxy_port
    tcp-request inspect-delay 10s
    tcp-request content accept if { req.ssl_hello_type 1 }
    use_backend two if { req.ssl_sni -i a.test }
backend two
    server two 127.0.0.1:$backend_port
CONF

# Starts one of them; `pid` is its.
start_proxy() {
    local map="a.test=127.0.0.1:$backend_port"
    case "$1" in
    haproxy) taskset -c 0 haproxy -db -f "$work/haproxy.cfg" 2>"$work/haproxy.err" & ;;
    tlsinspect)
        taskset -c 0 "$tool" listen "127.0.0.1:$proxy_port" --forward "$map" >"$work/listen.out" &
        ;;
    quiet) taskset -c 0 "$tool" listen "127.0.0.1:$proxy_port" --forward "$map" -q >"$work/quiet.out" & ;;
    esac
    pid=$!
    pids+=("$pid")
    until (: <>"/dev/tcp/127.0.0.1/$proxy_port") 2>/dev/null; do read -r -t 0.05 <> <(:) || true; done
}

# One proxy in one mode; the last number of each name is kept.
run() {
    local mode="$1" proxy="$2" line
    start_proxy "$proxy"
    line="$(taskset -c 1 "$work/load" "$mode" "$proxy_port" "$backend_port" "$pid" "$3" "$4")"
    printf '%-12s %-11s %s\n' "$mode" "$proxy" "$line"
    echo "$mode $proxy $line" >>"$work/results"
    kill -TERM "$pid"
    wait "$pid" 2>/dev/null || true
    unset 'pids[-1]'
}

for ((round = 0; round < rounds; round++)); do
    for proxy in haproxy tlsinspect quiet; do run connections "$proxy" "$seconds" 64; done
    for proxy in haproxy tlsinspect; do run bulk "$proxy" "$seconds" 8; done
done
for proxy in haproxy tlsinspect; do run hold "$proxy" 8000 200; done
tail -n 1 "$work/listen.out"

python3 - "$work/results" <<'MEDIANS'
import collections, statistics, sys
found = collections.defaultdict(list)
for line in open(sys.argv[1]):
    mode, proxy, *rest = line.split()
    for name, number in zip(rest[::2], rest[1::2]): found[mode, proxy, name].append(float(number))
median = {key: statistics.median(values) for key, values in found.items()}
print()
for mode, name in [("connections", "per_cpu_second"), ("connections", "per_second"),
                   ("bulk", "mib_per_second"), ("bulk", "mib_per_cpu_second")]:
    own = median[mode, "haproxy", name]
    for proxy in ("tlsinspect", "quiet"):
        if (mode, proxy, name) in median:
            value = median[mode, proxy, name]
            print(f"{mode:12} {name:20} {proxy:11} {value:9.0f}  haproxy {own:9.0f}  ratio {value / own:.2f}")
MEDIANS
