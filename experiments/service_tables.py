"""Tables of what the service bears, and of how the benchmarks were made, from their result files."""

from __future__ import annotations

from benchmarks.results import RESULTS, read_result
from experiments.tables import Goal, goal_table, percent, table


def load() -> str:
    """Return the table of requests a second and their latencies, beside Flask and Keras."""
    result = read_result("load")
    rows = []
    for concurrency, ratio in result["ratio"].items():
        cells = [concurrency]
        for one in (found[concurrency] for found in result["measured"].values()):
            cells += [f"{one['requests_a_second']:,.0f}", f"{one['p50_ms']:,.1f}, {one['p99_ms']:,.1f}"]
        rows.append((*cells, f"{ratio:.1f} ×"))
    latency = "p50, p99 in ms"
    header = ("connections", "one worker: a second", latency, "a worker a core: a second", latency)
    return table((*header, "Flask: a second", latency, "one worker : Flask"), rows)


def service_goals() -> str:
    """Return the table of the goals for the service, and whether they are reached."""
    result, soak = read_result("load"), read_result("soak")
    own = result["measured"]["service"]
    most = max(one["requests_a_second"] for one in own.values())
    failed = (
        sum(count for status, count in soak["statuses"].items() if status.startswith("5")) + soak["statuses"]["lost"]
    )
    rate, plain, times = "{:,.0f}".format, "{:.3g}".format, "{:.3g} ×".format
    return goal_table(
        [
            Goal("throughput of Flask with Keras `predict`, 64 connections", "≥", 25, result["ratio"]["64"], times),
            Goal("requests a second, one worker", "≥", 1500, most, rate),
            Goal("p99 at 16 connections, ms", "≤", 20, own["16"]["p99_ms"], plain),
            Goal(f"of {soak['requests']:,} mixed requests, a tenth bad: 5xx or lost", "≤", 0, failed, rate),
            Goal("growth of the memory after the first tenth of these", "≤", 0.05, soak["growth"], percent),
        ]
    )


def load_parts() -> str:
    """Return the table of what the parts of a request cost."""
    result = read_result("load")
    parts = result["microseconds"] | {
        "HTTP, framework, log and metrics: an answer without a reading": 1e6 / result["livez_a_second"],
        "a whole request, one at a time": 1e6 / result["measured"]["service"]["1"]["requests_a_second"],
    }
    return table(("part", "time"), [(name, f"{cost:,.0f} µs") for name, cost in parts.items()])


def measured() -> str:
    """Return the table of the benchmarks' result files, and how each was made."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        made = read_result(path.stem)
        seed = "–" if made["seed"] is None else made["seed"]
        result = f"[`{path.stem}`](../benchmarks/results/{path.name})"
        rows.append((result, f"`{made['command']}`", seed, made["machine"], made["versions"]["onnxruntime"]))
    return table(("result", "command", "seed", "machine", "ONNX Runtime"), rows)
