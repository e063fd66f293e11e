#!/usr/bin/env bash
# ask.sh [URL]: what can be asked of `tidal serve` with curl.
set -euo pipefail
url=${1:-http://127.0.0.1:8080}

# A chat, as it is written.
curl -sN "$url/v1/chat/completions" -d '{
  "messages": [{"role": "user", "content": "Name three colours."}],
  "max_tokens": 32, "stream": true, "stream_options": {"include_usage": true}}'

# A text goes on; sparse layers read a tenth of the cache, also where it is short.
curl -s "$url/v1/completions" -d '{
  "prompt": "Once upon a time", "max_tokens": 16,
  "tidal": {"method": "tidal", "budget": "10%", "min_context": 0}}'
echo

# How long a prompt is, and how long it may be.
curl -s "$url/tokenize" -d '{"prompt": "Once upon a time"}'
echo
