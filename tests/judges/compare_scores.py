#!/usr/bin/env python3
"""lm-eval's local-completions and local-chat-completions on a task of our own: compare_scores.py.

The log-probability that lm-eval finds for each ending of tests/judges/endings.jsonl has to be that
of `tidal eval ppl` to 1e-4. That scores a token behind a prompt that is read densely, as the server
reads an echoed prompt; one run for each token of an ending.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from support import DEFAULT_MODEL, Server, tidal

ENDINGS = pathlib.Path(__file__).resolve().parent / "endings.jsonl"
TASKS = {
    "endings": """
output_type: multiple_choice
doc_to_text: "{{text}}"
doc_to_choice: "{{endings}}"
doc_to_target: "{{right}}"
metric_list:
  - metric: acc
""",
    "answers": """
output_type: generate_until
doc_to_text: "Continue: {{text}}"
doc_to_target: "{{endings[right]}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 16
metric_list:
  - metric: exact_match
""",
}


def lm_eval(folder, task, model, url, *flags):
    """Runs the task; gives its samples and the line of its result."""
    pathlib.Path(folder, f"{task}.yaml").write_text(
        f"task: {task}\ndataset_path: json\ntest_split: test\n"
        f"dataset_kwargs:\n  data_files:\n    test: {ENDINGS}\n{TASKS[task]}")
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", "run", "--model", model, "--tasks", task,
         "--include_path", folder, "--output_path", f"{folder}/out", "--log_samples",
         "--model_args", f"model=any,base_url={url},num_concurrent=2,max_retries=1", *flags],
        stdout=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "HF_HOME": folder, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"})
    if done.returncode != 0:
        sys.exit(f"lm-eval failed:\n{done.stdout}")
    [samples] = pathlib.Path(folder, "out").rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in samples.open()], done.stdout


def expected(folder, server, text, ending):
    """The log-probability of the ending behind the text, by `tidal eval ppl`."""
    def tokens(of):
        return server.post("/tokenize", prompt=of, add_special_tokens=False)["tokens"]
    all_tokens = tokens(text + ending)
    ids = pathlib.Path(folder, "ids.json")
    ids.write_text(json.dumps(all_tokens))
    reports = [tidal("eval", "ppl", "-m", DEFAULT_MODEL, "--tokens", ids, "--method", "full",
                     "--prefill", n, "--max-tokens", n + 1, "--json").json()
               for n in range(len(tokens(text)), len(all_tokens))]
    assert all(report["tokens"] == 1 for report in reports)
    return -sum(report["nll"] for report in reports)


def main():
    if not DEFAULT_MODEL.exists():
        sys.exit(f"{DEFAULT_MODEL}: not there (scripts/get-model), nothing was compared")
    with tempfile.TemporaryDirectory() as folder, \
            Server("-c", 4096, model=DEFAULT_MODEL) as server:
        url = f"http://127.0.0.1:{server.port}"
        samples, result = lm_eval(folder, "endings", "local-completions",
                                  f"{url}/v1/completions", "--batch_size", "4")
        print(result)
        worst, n = 0.0, 0
        for sample in samples:
            for asked, found in zip(sample["arguments"].values(), sample["filtered_resps"]):
                wanted = expected(folder, server, asked["arg_0"], asked["arg_1"])
                worst, n = max(worst, abs(wanted - float(found[0]))), n + 1
        _, result = lm_eval(folder, "answers", "local-chat-completions",
                            f"{url}/v1/chat/completions", "--apply_chat_template")
        print(result)
    print(f"{n} log-probabilities of endings, the largest difference is {worst:.2e}")
    return 0 if n > 0 and worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
