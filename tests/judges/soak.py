"""Many clients at once for a long time: 32 that ask in different methods and lengths, of which a fifth
leave in the middle, of a server whose pages are too few for all of them. Every answer must be the one
that the request gets alone, nothing may be left running, and memory must stay as it is.

    TIDAL=build/debug/tidal python3 tests/judges/soak.py MINUTES

Prints a line a minute. For builds with a sanitizer: its findings end the server with a status.
"""

import http.client
import json
import os
import pathlib
import random
import statistics
import sys
import threading
import time

from support import METHODS, Server

CLIENTS, REQUESTS, CONTEXT = 32, 96, 2048
GROWTH = 1.03  # of resident memory from the second third of the time to the last
WORDS = "time and tide wait for no one while the river carries its letters down to the sea".split()


def make_requests(rng):
    """(path, body, whether it has tokens to compare) of requests that an own cache answers alike."""
    openings = [" ".join(rng.choices(WORDS, k=60)) for _ in range(6)]
    requests = []
    for number in range(REQUESTS):
        # Prompts that begin alike share pages.
        prompt = rng.choice(openings) + " " + " ".join(rng.choices(WORDS, k=rng.randint(1, 120)))
        body = {"max_tokens": rng.randint(5, 500), "temperature": rng.choice([0, 0.8, 1.5]),
                "seed": number, "ignore_eos": rng.random() < 0.7}
        body["tidal"] = {"method": rng.choice(METHODS), "budget": rng.choice([32, 64]),
                         "min_context": 0, "lossless": rng.random() < 0.3}
        path = rng.choice(["/completion", "/v1/completions", "/v1/chat/completions"])
        if path == "/v1/chat/completions":
            body["messages"] = [{"role": "user", "content": prompt}]
        else:
            body |= {"prompt": prompt, "return_tokens": True}
        requests.append((path, body))
    return requests


def pieces_of(chunk):
    """The text and the tokens of one reply, or of a part of a stream."""
    if "choices" not in chunk:
        return chunk.get("content") or "", chunk.get("tokens") or []
    text = ""
    for choice in chunk["choices"]:
        part = choice.get("delta") or choice.get("message") or choice
        text += part.get("content") or part.get("text") or ""
    return text, []


class Client:
    def __init__(self, server):
        self.server = server

    def open(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=900)
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        if response.status != 200:
            raise AssertionError(f"{path}: {response.status} {response.read().decode()[:500]}")
        return connection, response

    def whole(self, path, body):
        connection, response = self.open(path, body)
        reply = json.loads(response.read())
        connection.close()
        return pieces_of(reply)

    def streamed(self, path, body, leave_after=None):
        """The text so far when the stream ends, or when this client leaves."""
        connection, response = self.open(path, {**body, "stream": True})
        text, tokens = "", []
        for n, line in enumerate(response):
            if leave_after is not None and n >= leave_after:
                break
            if line.startswith(b"data: {"):
                more_text, more_tokens = pieces_of(json.loads(line[6:]))
                text, tokens = text + more_text, tokens + more_tokens
        response.close()
        connection.close()
        return text, tokens


class Soak:
    def __init__(self, server, requests, expected):
        self.server, self.requests, self.expected = server, requests, expected
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.answered = self.left = 0
        self.faults = []

    def run(self, seed):
        rng, client = random.Random(seed), Client(self.server)
        while not self.stop.is_set():
            number = rng.randrange(len(self.requests))
            path, body = self.requests[number]
            text, tokens = self.expected[number]
            try:
                leaves = rng.random() < 0.2
                if leaves:
                    got, _ = client.streamed(path, body, leave_after=rng.randint(0, 60))
                    good = text.startswith(got)
                elif rng.random() < 0.5:
                    got, _ = client.streamed(path, body)
                    good = got == text
                else:
                    got, its_tokens = client.whole(path, body)
                    good = (got, its_tokens) == (text, tokens)
                with self.lock:
                    self.left += leaves
                    self.answered += not leaves
                if not good:
                    raise AssertionError(f"{path} {body}: {got!r} instead of {text!r}")
            except Exception as fault:  # reported by the main thread
                with self.lock:
                    self.faults.append(fault)
                self.stop.set()

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000

    def figures(self):
        _, text, _ = self.server.send("GET", "/metrics")
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name.split("{")[0]: float(value) for name, value in lines if "bucket" not in name}


def check_rest(soak, memory):
    deadline = time.monotonic() + 60
    while True:  # clients that left are seen when their sockets are
        figures = soak.figures()
        busy = figures["tidal:requests_running"] + figures["tidal:requests_waiting"]
        if busy == 0 or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert busy == 0, f"{busy} requests are still there"
    third = len(memory) // 3
    if third >= 3:
        before, after = (statistics.median(memory[third:2 * third]),
                         statistics.median(memory[2 * third:]))
        assert after <= GROWTH * before, f"memory grew from {before:.1f} to {after:.1f} MB"


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16:detect_leaks=1")
    requests = make_requests(random.Random(1))
    flags = ("-c", CONTEXT, "-np", 8, "--kv-unified", "--max-queue", 64, "--metrics")
    with Server(*flags) as server:
        client = Client(server)
        expected = [client.whole(path, {**body, "cache_salt": f"alone {n}"})
                    for n, (path, body) in enumerate(requests)]
    print(f"{len(requests)} requests answered alone", flush=True)
    with Server(*flags) as server:
        soak = Soak(server, requests, expected)
        threads = [threading.Thread(target=soak.run, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        memory, start = [], time.monotonic()
        while not soak.stop.wait(6) and time.monotonic() < start + 60 * minutes:
            memory.append(soak.resident_mb())
            if len(memory) % 10 == 0:
                print(f"{(time.monotonic() - start) / 60:.1f} min: {soak.answered} answered, "
                      f"{soak.left} left in the middle, {memory[-1]:.1f} MB resident", flush=True)
        soak.stop.set()
        for thread in threads:
            thread.join()
        if soak.faults:
            raise soak.faults[0]
        check_rest(soak, memory)
        paused = soak.figures()["tidal:requests_paused_total"]
        assert paused > 0, "there was room for all"
    assert server.process.returncode == 0, "".join(server.log[-50:])
    print(json.dumps({"answered": soak.answered, "left": soak.left, "paused": paused,
                      "mb_first": memory[0], "mb_last": memory[-1], "minutes": minutes}))


if __name__ == "__main__":
    main()
