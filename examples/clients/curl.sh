#!/usr/bin/env bash
# A picture by curl, of a scene in words, and its scene.
#
#   mas-fast serve
#   examples/clients/curl.sh "an elephant on the grass" "elephant: 66,48,116,108"
#
# Writes curl.png and curl.scene.png.
set -euo pipefail
address=${ADDRESS:-http://127.0.0.1:8000}
body=$(python3 -c 'import json, sys; print(json.dumps({"prompt": sys.argv[1], "scene": sys.argv[2]}))' "$1" "$2")
curl --silent --fail-with-body "$address/v1/images/generations" --json "$body" >answer.json
for field in b64_json scene; do
  python3 -c 'import json, sys; print(json.load(open("answer.json"))["data"][0][sys.argv[1]])' "$field" |
    base64 --decode >"$([ "$field" = scene ] && echo curl.scene.png || echo curl.png)"
done
rm answer.json
