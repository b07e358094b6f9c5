#!/bin/sh
# Pictures with curl alone: sh examples/curl.sh "noto red apple"
# Writes quick.png, and job.png of a job that is watched. LODESTAR_URL names the service; with LODESTAR_KEY a key is sent.
set -eu
prompt=${1:?usage: curl.sh PROMPT}
service=${LODESTAR_URL:-http://127.0.0.1:8000}

call() { # --fail-with-body: an error is printed, and ends the script
    curl -sS --fail-with-body ${LODESTAR_KEY:+-H "Authorization: Bearer $LODESTAR_KEY"} "$@"
}

# 1. One call, one picture. --data-urlencode takes any prompt, and the answer is the file.
call "$service/v1/images" --data-urlencode "prompt=$prompt" -d guidance=true -d seed=7 -o quick.png

# 2. A job. Its address is in the header Location; the key makes a repeated call give the same job.
text=$(printf %s "$prompt" | tr -d '[:cntrl:]' | sed 's/[\\"]/\\&/g')
job=$(call "$service/v1/jobs" --json "{\"prompt\": \"$text\", \"seed\": 7}" -H "Idempotency-Key: $$-$(date +%s)" \
    -D - -o /dev/null | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')

# Its events, one line each, until it has ended.
call -N "$service$job/events" | sed -n 's/^event: //p'

# Its picture. A job without one is answered with the reason.
call "$service$job/images/0.png" -o job.png
echo "quick.png and job.png"
