"""What the service costs: requests per second, latency, and what malformed requests do to it.

The service runs in a process of its own, as ``python -m ricsk.cloud.serve`` does. Prints

- requests per second with one image each, of the cloud half on ciphertexts, and of the bare
  network on plain images behind the same server, in turn, and their ratio; and of calls without a
  server;
- for 1, 8 and 64 clients at a time: requests per second, and the median, 95th and 99th percentile
  of the latency;
- for malformed requests, made by chance from a right one: how many of each status, and the
  resident memory of the service before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import skops.io

from ricsk import CNNClassifier, EtCEncryptor, PrivateClassifier, SecretKey
from ricsk.cloud import CloudHalf
from ricsk.datasets import make_street_numbers

HEADER = "Inference-Header-Content-Length"


def start(*models: str) -> tuple[subprocess.Popen[str], str]:
    """Start the service; gives the process and its address."""
    command = [sys.executable, "-m", "ricsk.cloud.serve", *models, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            # Nobody reads the log, which would fill the pipe.
            subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            return process, found[0]
    raise SystemExit("the service did not start")


def encode(image: np.ndarray) -> tuple[bytes, dict[str, str]]:
    """Write a request for the label of an image."""
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *image.shape],
        "parameters": {"binary_data_size": image.size},
    }
    head = json.dumps({"inputs": [tensor], "outputs": [{"name": "labels"}]}).encode()
    return head + image.tobytes(), {HEADER: str(len(head))}


async def load(url: str, images: np.ndarray, n_clients: int, n_requests: int) -> np.ndarray:
    """Ask with several clients at a time; gives the latencies, and at the end the whole time."""
    parts = urlsplit(url)
    requests = []
    for image in images:
        content, headers = encode(image)
        headers |= {"Host": parts.netloc, "Content-Length": str(len(content))}
        lines = [f"POST {parts.path}/infer HTTP/1.1", *map(": ".join, headers.items()), "", ""]
        requests.append("\r\n".join(lines).encode() + content)
    left = iter(range(n_requests))
    latencies = []

    async def ask() -> None:
        # By hand, because a client with comforts takes as long as the service does.
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for i in left:
            start = time.perf_counter()
            writer.write(requests[i % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert head.startswith(b"HTTP/1.1 200"), head
            assert length is not None
            await reader.readexactly(int(length[1]))
            latencies.append(time.perf_counter() - start)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(n_clients)))
    return np.array([*latencies, time.perf_counter() - start])


def distort(
    rng: np.random.Generator, content: bytes, headers: dict[str, str]
) -> tuple[bytes, dict]:
    """Make a malformed request from a right one."""
    changed, headers = bytearray(content), dict(headers)
    match rng.integers(7):
        case 0:  # bytes of the JSON
            for place in rng.integers(0, 120, rng.integers(1, 6)):
                changed[place] = rng.integers(256)
        case 1:
            del changed[rng.integers(len(changed)) :]
        case 2:
            headers[HEADER] = str(rng.integers(-5, 10_000))
        case 3:
            headers.pop(HEADER)
        case 4:
            start = rng.integers(len(changed))
            changed[start:start] = rng.bytes(rng.integers(1, 500))
        case 5:
            changed = bytearray(rng.bytes(rng.integers(2000)))
        case 6:
            values = [
                -1,
                0,
                2**31,
                1e30,
                None,
                "x",
                [],
                {},
                True,
                [1] * 9,
                "BYTES",
                "FP64",
                -(2**63),
            ]
            n_head = int(headers[HEADER])
            head = json.loads(content[:n_head])
            tensor = head["inputs"][0]
            value = values[rng.integers(len(values))]
            if rng.integers(2):
                tensor[str(rng.choice(list(tensor)))] = value
            else:
                tensor["shape"][rng.integers(4)] = value
            text = json.dumps(head).encode()
            changed, headers[HEADER] = bytearray(text + content[n_head:]), str(len(text))
    return bytes(changed), headers


def read_memory(pid: int) -> float:
    """Read the resident memory of a process, in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def harass(url: str, pid: int, image: np.ndarray, n_requests: int) -> None:
    """Send malformed requests, and print what came back."""
    rng, right = np.random.default_rng(0), encode(image)
    statuses: Counter[int] = Counter()
    with httpx.Client(timeout=60) as client:
        for i in range(n_requests + 500):
            if i == 500:  # after that nothing is new to it
                before = read_memory(pid)
            content, headers = distort(rng, *right)
            answer = client.post(f"{url}/infer", content=content, headers=headers)
            if i >= 500:
                statuses[answer.status_code] += 1
        after = read_memory(pid)
        content, headers = right
        assert client.post(f"{url}/infer", content=content, headers=headers).status_code == 200
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    print(f"{n_requests} malformed requests: {counts}")
    print(f"resident memory {before:.1f} MiB before, {after:.1f} MiB after")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000, help="of each number of clients")
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--turn", type=int, default=100, help="requests of a turn")
    args = parser.parse_args()
    X, y = make_street_numbers(300, random_state=0)
    encryptor = EtCEncryptor(SecretKey.generate(), block_size=4)
    network = CNNClassifier(epochs=1, random_state=0)
    private = PrivateClassifier(encryptor, network).fit(X[:200], y[:200])
    C, plain = private.encrypt(X[200:]), X[200:]
    bare = CNNClassifier(epochs=1, random_state=0).fit(X[:200], y[:200])
    with tempfile.TemporaryDirectory() as folder:
        for name, model in (("half", private.cloud_half()), ("bare", CloudHalf(bare))):
            skops.io.dump(model, f"{folder}/{name}.skops")
        process, address = start(f"{folder}/half.skops", f"{folder}/bare.skops")
    half, other = (f"{address}/v2/models/{name}" for name in ("half", "bare"))
    try:
        print(
            f"images of {X.shape[1:]}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
        )
        asyncio.run(load(half, C, 8, 100))
        # In short turns, because other programs of the machine come and go.
        served = {"cloud half": (half, C), "bare network": (other, plain)}
        seconds: dict[str, list[float]] = {name: [] for name in (*served, "no server")}
        for i in range(args.turns):
            for name in list(served)[:: -1 if i % 2 else 1]:
                seconds[name].append(asyncio.run(load(*served[name], 8, args.turn))[-1])
            begin = time.perf_counter()
            for k in range(args.turn):
                bare.predict(plain[k % len(plain)][np.newaxis])
            seconds["no server"].append(time.perf_counter() - begin)
        for name, times in seconds.items():
            print(f"{name}: {args.turn / np.median(times):.0f} requests/s")
        ratios = np.divide(seconds["bare network"], seconds["cloud half"])
        low, median, high = np.percentile(ratios, (25, 50, 75))
        print(f"ratio of the cloud half {median:.2f} (quartiles {low:.2f} and {high:.2f})")
        for n_clients in (1, 8, 64):
            *latencies, total = asyncio.run(load(half, C, n_clients, args.requests))
            percentiles = np.percentile(latencies, (50, 95, 99)) * 1000
            print(
                f"{n_clients} clients: {args.requests / total:.0f} requests/s; latency "
                + ", ".join(f"{value:.1f} ms" for value in percentiles)
                + " (median, 95 %, 99 %)"
            )
        harass(half, process.pid, C[0], args.malformed)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
