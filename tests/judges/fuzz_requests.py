#!/usr/bin/env python3
"""schemathesis on /openapi.json, at least 10,000 requests: fuzz_requests.py [EXAMPLES].

EXAMPLES requests to each operation, right and wrong ones. The server may answer anything that its
document allows, but no 5xx other than 501, at once, and has to be there at the end.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from support import Server

LEAST = 10_000
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_headers_conformance,response_schema_conformance")
# 501: what this server does not have, slots in files for instance.
CONFIG = """
request-timeout = 60.0
continue-on-failure = true
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 501]
[generation]
database = "none"
"""


def run(server, folder, examples):
    config = pathlib.Path(folder, "schemathesis.toml")
    config.write_text(CONFIG)
    return subprocess.run(
        [pathlib.Path(sys.executable).parent / "st", "--config-file", config, "run",
         f"http://127.0.0.1:{server.port}/openapi.json", "--checks", CHECKS, "--seed", "1",
         "--phases", "coverage,fuzzing,stateful", "--max-examples", str(examples), "--no-color",
         "--no-shrink"],
        stdout=subprocess.PIPE, text=True, check=False, cwd=folder)


def main():
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    with tempfile.TemporaryDirectory() as folder, Server("-c", 256, "--metrics") as server:
        done = run(server, folder, examples)
        print(done.stdout)
        alive = server.send("GET", "/health")[0] == 200
    sent = int((re.search(r"(\d+) generated", done.stdout) or [0, 0])[1])
    print(f"{sent} requests, the server is {'there' if alive else 'gone'}")
    return 0 if done.returncode == 0 and alive and sent >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
