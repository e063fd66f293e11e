"""Asks the model for the passkey hidden in a text, once per method, and prints a table of the answers.

What tidal says meanwhile, its progress and a closing line per method, goes to stderr.

A method is full, tidal, quest, window or oracle; `paper` is tidal with the paper's own plan.
"""

import json
import subprocess
import sys

QUESTION = "\n\nWhat is the secret passkey mentioned in the text above?"
ANSWER_PREFIX = "The secret passkey is"
PASSKEY = "27611"
BUDGET = "512"


def ask(tidal, model, text, method):
    command = [tidal, "generate", "-m", model, "-f", text, "-p", QUESTION, "--chat"]
    command += ["--answer-prefix", ANSWER_PREFIX, "-n", "16", "--temp", "0", "--ignore-eos", "--json"]
    command += ["--method", "tidal" if method == "paper" else method]
    if method == "paper":
        command += ["--plan", "paper"]
    if method != "full":
        command += ["--budget", BUDGET]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main():
    tidal, model, text, *methods = sys.argv[1:]
    print(f"The passkey in the text is {PASSKEY}. Sparse methods may read {BUDGET} rows a layer.\n",
          flush=True)
    results = [(method, ask(tidal, model, text, method)) for method in methods]
    print(f"\n{'method':8} {'answer':10} {'right':6} {'ms/token':>9} {'rows read':>12} {'share':>8}")
    full_answered = False
    for method, result in results:
        answer = result["text"].strip().split(" ")[0].split("\n")[0].strip(".,")[:10]
        right = PASSKEY in result["text"]
        full_answered |= method == "full" and right
        ms = result["timing"]["decode_ms"] / max(1, result["completion_tokens"] - 1)
        rows = result["rows"]
        print(
            f"{method:8} {answer:10} {'yes' if right else 'no':6} {ms:9.2f} {rows['read']:12,}"
            f" {100 * rows['share']:7.1f}%"
        )
    print(f"\n{result['prompt_tokens']} prompt tokens, read with full attention in"
          f" {result['timing']['prefill_ms'] / 1000:.1f} s"
          f" ({result['timing']['prefill_tok_s']:.0f} tokens/s).")
    if "full" in methods and not full_answered:
        sys.exit("error: full attention did not find the passkey")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
