# Everyday verbs over CMake; `make help` lists them. CI=1 makes warnings errors.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
FUZZ_RUNS ?= 100000
GLLM_HOME ?= $(HOME)/.gllm
export GLLM_HOME DESTDIR

MINILM = sentence-transformers/all-MiniLM-L6-v2
# What answers in the demo: smollm2, qwen, or a model's path or ORG/NAME. Qwen2.5-Coder answers better, and is used when it is there.
smollm2 = HuggingFaceTB/SmolLM2-135M-Instruct-GGUF
qwen = Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF
GENERATOR ?= $(if $(wildcard $(GLLM_HOME)/models/$(subst /,--,$(qwen))),qwen,smollm2)
generator = $(or $($(GENERATOR)),$(GENERATOR))
STRICT = -DGLLM_WERROR=$(if $(CI),ON,OFF)
CTEST = ctest -j $(JOBS) --output-on-failure --test-dir
# $(call build,PRESET): configures and builds quietly; what the tools said is shown when they fail, and warnings always.
build = @mkdir -p build && echo "make: building build/$(1)" && \
	{ cmake --preset $(1) $(STRICT) >build/$(1).log 2>&1 && cmake --build build/$(1) -j $(JOBS) >>build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }; } && \
	{ grep -A4 'warning:' build/$(1).log || true; }

.PHONY: all build setup models demo test check layers clang fuzz wheel bench asan tsan install uninstall clean help
all: setup build ## set up and build the release: build/release/gllm (the default)

build:
	$(call build,release)

setup: ## install what this machine lacks (Debian; asks for nothing when all is there)
	@scripts/setup

models: setup ## fetch the real models that tests and the demo use, into $GLLM_HOME/models
	@scripts/models minilm smollm2

demo: setup ## find passages with a real MiniLM, answer from them with a real generator: GENERATOR=smollm2, qwen or your own
	$(call build,release)
	@scripts/models minilm
	@[ -e "$(generator)" ] || scripts/models "$(GENERATOR)" || echo "make demo: no generator; the passages are shown without answers"
	@build/release/gllm-demo $(MINILM) examples/passages.tsv "$(generator)"

test: setup ## everything: all tests, then again with ASan and UBSan what ends soon there, and a clang build
	$(call build,release)
	@scripts/models minilm smollm2 || echo "make test: a real model is missing; the tests that need it will say that they skipped"
	@$(CTEST) build/release
	$(call build,asan)
	@$(CTEST) build/asan -L 'unit|fuzz|model|cli'
	@$(MAKE) --no-print-directory clang

check: ## the unit tests alone, some seconds
	$(call build,release)
	@$(CTEST) build/release -L unit

layers: ## the include arrows
	@scripts/layers

clang: ## compile with clang, warnings are errors
	@if command -v clang >/dev/null; then cmake --preset clang >/dev/null && cmake --build build/clang -j $(JOBS) -- --quiet && echo "make clang: no warnings"; \
	else echo "make clang: skipped, there is no clang"; fi

asan: setup ## all tests with AddressSanitizer and UBSan
	$(call build,asan)
	@$(CTEST) build/asan

tsan: setup ## all tests with ThreadSanitizer
	$(call build,tsan)
	@$(CTEST) build/tsan

fuzz: ## each fuzz target with libFuzzer, FUZZ_RUNS executions
	@scripts/setup --fuzz
	$(call build,fuzz)
	@for source in tests/fuzz/fuzz_*.c; do \
	    name=$$(basename $$source .c); mkdir -p build/fuzz/corpus/$$name; \
	    echo "make fuzz: $$name, $(FUZZ_RUNS) executions"; \
	    build/fuzz/tests/$$name -runs=$(FUZZ_RUNS) -max_len=4096 -timeout=20 -rss_limit_mb=4096 -verbosity=0 -artifact_prefix=build/fuzz/ \
	        build/fuzz/corpus/$$name tests/fuzz/corpus/$${name#fuzz_} || exit 1; \
	done

wheel: setup ## the Python package with the library inside: build/wheel/gllm-*.whl
	$(call build,release)
	@GLLM_LIBRARY=$(CURDIR)/build/release/libgllm.so python3 -m pip wheel -q --no-deps -w build/wheel ./python
	@ls build/wheel/gllm-*.whl

bench: setup ## the speed here: MiniLM, 128 tokens in batches and alone, 16 tokens alone
	$(call build,release)
	@scripts/models minilm
	@build/release/gllm bench $(MINILM) --length 128 --batch 32
	@build/release/gllm bench $(MINILM) --length 128
	@build/release/gllm bench $(MINILM) --length 16

install: ## program, header, libraries, gllm.pc and CMake package into PREFIX, below DESTDIR
	@[ -f build/release/gllm ] || $(MAKE) --no-print-directory build
	@cmake --install build/release --prefix $(abspath $(PREFIX))

uninstall: ## remove what `make install` put there last
	@while read -r file || [ -n "$$file" ]; do rm -vf "$(DESTDIR)$$file"; done <build/release/install_manifest.txt

clean: ## remove build/
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo "  JOBS=$(JOBS) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) FUZZ_RUNS=$(FUZZ_RUNS) GLLM_HOME=$(GLLM_HOME) GENERATOR=$(GENERATOR)"
