#!/bin/sh
# The server from a shell. First, elsewhere: gllm serve all-MiniLM-L6-v2 SmolLM2-135M-Instruct-GGUF
set -eu
url=${GLLM_URL:-http://127.0.0.1:8080}
post() { curl -sS --fail-with-body "$url$1" -H "Authorization: Bearer ${GLLM_API_KEY:-none}" -H "Content-Type: application/json" -d "$2"; echo; }

echo "Models:"
curl -sS --fail-with-body "$url/v1/models" -H "Authorization: Bearer ${GLLM_API_KEY:-none}"
echo

echo "A vector, cut to what it says of itself:"
post /v1/embeddings '{"model": "all-MiniLM-L6-v2", "input": ["a quiet street", "a busy road"]}' | cut -c 1-160

echo "Documents by how well they answer; a chat model judges, as no reranker is served:"
post /v1/rerank '{"model": "SmolLM2-135M-Instruct-GGUF", "as_judge": true, "query": "Who wrote Faust?", "documents": ["Ice floats.", "Goethe wrote Faust."]}'

echo "An answer:"
post /v1/chat/completions '{"model": "SmolLM2-135M-Instruct-GGUF", "messages": [{"role": "user", "content": "Name three rivers."}], "max_tokens": 48}'

echo "The same, piece by piece:"
post /v1/chat/completions '{"model": "SmolLM2-135M-Instruct-GGUF", "messages": [{"role": "user", "content": "Name three rivers."}], "max_tokens": 12, "stream": true}'
