#!/usr/bin/env python3
"""vllm-router in front of two servers: a text's questions go where it was read, nothing fails.

kv_aware follows what the servers say of their caches (--kv-events); consistent_hash a session's name.
Then one of the two is killed: only what runs there may fail.
"""

import collections
import contextlib
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

from support import MODEL, TIMEOUT, Server

TEXTS, ASKED = 10, 200
LEAST_HOME = 0.95  # of the requests, at their text's server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def events_of(server):
    line = next(line for line in server.log if line.startswith("publishing what is cached at "))
    return re.search(r"tcp://\S+", line)[0]


class Router:
    def __init__(self, policy, servers, folder):
        self.port = free_port()
        urls = [f"http://127.0.0.1:{server.port}" for server in servers]
        command = [pathlib.Path(sys.executable).parent / "vllm-router", "--worker-urls", *urls,
                   "--policy", policy, "--port", str(self.port), "--prometheus-port",
                   str(free_port())]
        if policy == "kv_aware":
            command += ["--kv-event-model", MODEL.name]
            for url, server in zip(urls, servers):
                command += ["--kv-event-source", f"{url}={events_of(server)}"]
        self.log = open(pathlib.Path(folder, f"{policy}.log"), "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("Once", "none")[0] == 200:
                    time.sleep(1)  # until it has subscribed to events
                    return self
            time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(f"the router does not start:\n{self.log.read()}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def ask(self, prompt, session):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request("POST", "/v1/completions", json.dumps(
            {"model": MODEL.name, "prompt": prompt, "max_tokens": 1}),
            {"Content-Type": "application/json", "X-Session-ID": session})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def texts():
    """They begin with different words, and are 10 to 20 pages of the cache long."""
    words = pathlib.Path(__file__).read_text().split()
    return [" ".join([f"Text {i}."] + words[7 * i:7 * i + 100]) for i in range(TEXTS)]


def answered(server):
    """Requests it has had so far."""
    return int(re.search(r"^tidal:requests_total\S* (\d+)", server.send("GET", "/metrics")[1],
                         re.MULTILINE)[1])


def send_all(router, servers):
    """Where each text's questions went, and how many were refused."""
    where, refused = collections.defaultdict(list), 0
    for number in range(ASKED):
        text = number % TEXTS
        before = [answered(server) for server in servers]
        status, _ = router.ask(f"{texts()[text]} Question {number}?", f"session-{text}")
        refused += status != 200
        after = [answered(server) for server in servers]
        where[text].append(next((i for i, pair in enumerate(zip(before, after))
                                 if pair[0] != pair[1]), -1))
        time.sleep(0.01)  # events travel on their own
    return where, refused


def read_texts(servers):
    """Each by one of the servers in turn, which nobody tells the router but they themselves."""
    for number, text in enumerate(texts()):
        servers[number % 2].post("/v1/completions", prompt=text, max_tokens=1)
    time.sleep(0.5)


def judge(policy, servers, folder):
    with Router(policy, servers, folder) as router:
        if policy == "kv_aware":
            read_texts(servers)
        where, refused = send_all(router, servers)
    homes = {text: text % 2 if policy == "kv_aware" else places[0] for text, places in where.items()}
    home = sum(place == homes[text] for text, places in where.items() for place in places) / ASKED
    used = len({place for places in where.values() for place in places})
    print(f"{policy}: {100 * home:.1f} % of {ASKED} requests went where their text was, "
          f"{used} servers used, {refused} refused", flush=True)
    return home >= LEAST_HOME and refused == 0


def judge_loss(servers, folder):
    """One server is gone at once; the router takes some seconds to notice."""
    with Router("kv_aware", servers, folder) as router:
        servers[1].process.kill()
        time.sleep(1)
        statuses = [router.ask(text, "any")[0] for text in texts() * 3]
    failed = sum(status != 200 for status in statuses)
    print(f"one server killed: {failed} of {len(statuses)} requests failed", flush=True)
    return failed == 0


def main():
    flags = ["-c", 8192, "--metrics", "--kv-events", "tcp://127.0.0.1:*"]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for policy in ("kv_aware", "consistent_hash"):
            with Server(*flags) as first, Server(*flags) as second:
                good &= judge(policy, [first, second], folder)
        with Server(*flags) as first, Server(*flags) as second:
            good &= judge_loss([first, second], folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
