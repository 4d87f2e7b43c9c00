# Everyday verbs over CMake. `make help` lists them.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
FUZZ_RUNS ?= 100000
GLLM_HOME ?= $(HOME)/.gllm
export GLLM_HOME
CMAKE = cmake -G Ninja
BUILD = cmake --build
STRICT = $(if $(CI),-DGLLM_WERROR=ON)

.PHONY: all build setup models demo test check layers fuzz bench asan tsan install clean help
all: setup build

build:
	@$(CMAKE) -S . -B build/release $(STRICT) >/dev/null
	@$(BUILD) build/release -j $(JOBS)
setup:
	@scripts/setup
models:
	@scripts/models minilm
demo: setup build models
	@build/release/gllm-demo sentence-transformers/all-MiniLM-L6-v2 examples/passages.tsv
test: setup build
	@scripts/models minilm || echo "make test: the real model is not here; tests that need it are skipped"
	@ctest --test-dir build/release -j $(JOBS) --output-on-failure
	@$(CMAKE) -S . -B build/asan -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 -DGLLM_SANITIZE=address,undefined >/dev/null
	@$(BUILD) build/asan -j $(JOBS)
	@ctest --test-dir build/asan -j $(JOBS) -L 'unit|fuzz|model|cli' --output-on-failure
check: build
	@ctest --test-dir build/release -j $(JOBS) -L unit --output-on-failure
layers:
	@scripts/layers
asan tsan:
	@$(CMAKE) -S . -B build/$@ -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 -DGLLM_SANITIZE=$(if $(filter asan,$@),address$(comma)undefined,thread) >/dev/null
	@$(BUILD) build/$@ -j $(JOBS)
	@ctest --test-dir build/$@ -j $(JOBS) --output-on-failure
comma := ,
fuzz:
	@scripts/setup --fuzz
	@$(CMAKE) -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 -DGLLM_FUZZ=ON -DGLLM_SANITIZE=address,undefined >/dev/null
	@$(BUILD) build/fuzz -j $(JOBS)
	@for f in tests/fuzz/fuzz_*.c; do n=$$(basename $$f .c); mkdir -p build/fuzz/corpus/$$n; \
	  echo "$$n: $(FUZZ_RUNS) executions"; build/fuzz/tests/$$n -runs=$(FUZZ_RUNS) -max_len=4096 -verbosity=0 build/fuzz/corpus/$$n tests/fuzz/corpus/$${n#fuzz_} || exit 1; done
bench: setup build models
	@build/release/gllm bench sentence-transformers/all-MiniLM-L6-v2 --length 128 --batch 32
	@build/release/gllm bench sentence-transformers/all-MiniLM-L6-v2 --length 128
	@build/release/gllm bench sentence-transformers/all-MiniLM-L6-v2 --length 16
install: build
	@cmake --install build/release --prefix $(PREFIX)
clean:
	@rm -rf build
help:
	@echo "make [all] demo test check layers fuzz bench asan tsan install clean"
