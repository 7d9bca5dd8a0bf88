# c-prof-labs: every step is a target; `make help` lists them.
# Variables: CC, SAN=address|thread|undefined, WERROR=1, V=1, DEPS=0; those of the steps are listed by help.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
MAKEFLAGS += --no-builtin-rules

comma := ,

# ---- where things go ------------------------------------------------------------------------
# A sanitizer build lives beside the plain one, so that switching costs no rebuild.
ifneq ($(filter-out address thread undefined,$(SAN)),)
$(error SAN=$(SAN): expected address, thread or undefined)
endif
B   := build/$(or $(SAN),plain)
BIN := $(if $(SAN),$(B)/bin,bin)

# ---- flags ----------------------------------------------------------------------------------
ifeq ($(origin CC),default)
CC := gcc
endif
OPT      ?= -O2
CFLAGS_  := -std=gnu17 $(OPT) -g -fno-omit-frame-pointer -Wall -Wextra $(if $(WERROR),-Werror) \
            $(if $(SAN),-fsanitize=$(SAN)) -I. -D_GNU_SOURCE $(CFLAGS)
LDFLAGS_ := $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
LIBS     := -ldw -lelf -lz -lm -pthread
LIBS_BENCH := -lpcre2-8
# The labs run on tcmalloc; a sanitizer brings an allocator of its own.
TCMALLOC := $(if $(SAN),,-Wl,--push-state,--no-as-needed -ltcmalloc_minimal -Wl,--pop-state)
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)')

# ---- sources: found, not listed --------------------------------------------------------------
prof_src  := $(wildcard prof/*.c)
http_src  := $(wildcard prof/http*.c prof/metrics*.c)
core_src  := $(filter-out $(http_src),$(prof_src))
labs_src  := $(wildcard labs/*/*.c)
bench_src := $(wildcard bench/*.c)
labb_src  := $(wildcard bench/labs/*.c)
cmds      := $(notdir $(patsubst %/,%,$(wildcard cmd/*/)))
ctests    := $(basename $(notdir $(wildcard tests/*_test.c)))
perfs     := $(basename $(notdir $(wildcard bench/perf/*.c)))

obj = $(patsubst %.c,$(B)/%.o,$(1))

libprof  := $(B)/lib/libprof.a
liblabs  := $(B)/lib/liblabs.a
libbench := $(B)/lib/libbench.a
progs    := $(addprefix $(BIN)/,$(cmds)) $(if $(labb_src),$(BIN)/bench)
shlibs   := $(B)/lib/libprof.so $(if $(http_src),$(B)/lib/libprof-http.so)
tests    := $(addprefix $(B)/tests/,$(ctests))
perfbins := $(addprefix $(B)/perf/,$(perfs))

##@ Build and test
.PHONY: all build test build-tests
all: build ## the libraries and the programs (the default)
build: $(libprof) $(shlibs) $(liblabs) $(libbench) $(progs) ## the same; programs are in bin/
build-tests: $(tests)
test: build build-tests build/deps/test build/deps/ui ## every test; T=NAME runs one, SAN=address|thread|undefined under a sanitizer
	@SAN='$(SAN)' tests/run $(T)

# ---- packages: what is missing is installed, once ------------------------------------------------
# DEPS=0: this machine is not Debian, or its owner knows better.
build/deps/%: scripts/deps.sh
	@$(if $(filter 0,$(DEPS)),:,scripts/deps.sh $*)
	@mkdir -p $(@D) && touch $@
packages := build/deps/build

# ---- objects ---------------------------------------------------------------------------------------
# libprof is compiled once for both of its forms; only the API and the interposed calls are visible.
cflags_prof := -fPIC -fvisibility=hidden

# Objects depend on the flags they were built with, and what is linked on the list of sources: another
# compiler, another option, a file added or removed rebuilds what it changes and nothing else.
remember = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
$(B)/flags: FORCE
	$(call remember,$(CC) $(filter-out -Werror,$(CFLAGS_)) $(LDFLAGS_) $(cflags_prof))
$(B)/sources: FORCE
	$(call remember,$(prof_src) $(labs_src) $(bench_src) $(labb_src) $(wildcard cmd/*/*.c))
.PHONY: FORCE
FORCE:

$(B)/%.o: %.c $(B)/flags | $(packages)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_) $(cflags_$(firstword $(subst /, ,$<))) -MMD -MP -c -o $@ $<
$(B)/tests/%.o: | build/deps/test

# ---- libraries -------------------------------------------------------------------------------------
parts = $(filter %.o %.a %.so,$^)
define archive
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $(parts)
endef
$(libprof): $(call obj,$(prof_src)) $(B)/sources
	$(archive)
$(liblabs): $(call obj,$(labs_src)) $(B)/sources
	$(archive)
$(libbench): $(call obj,$(bench_src)) $(B)/sources
	$(archive)

$(B)/lib/libprof.so: $(call obj,$(core_src)) $(B)/sources
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -shared -Wl,-soname,libprof.so $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,-z,nodelete -o $@ $(parts) $(LIBS)
$(B)/lib/libprof-http.so: $(call obj,$(http_src)) $(B)/lib/libprof.so $(B)/sources
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_) -shared -Wl,-soname,libprof-http.so -Wl,-rpath,'$$ORIGIN' -o $@ $(parts) -lmicrohttpd $(LIBS)

# ---- programs: a folder of cmd/ each ----------------------------------------------------------
# libs_NAME adds what a program needs beyond the usual.
libs_cpu_hot := $(TCMALLOC)
libs_mem_hot := $(TCMALLOC)
libs_bench   := $(TCMALLOC) $(LIBS_BENCH)

define program
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -o $@ $(parts) $(libs_$(@F)) $(1) -lcrypto $(LIBS)
endef
.SECONDEXPANSION:
$(addprefix $(BIN)/,$(cmds)): $(BIN)/%: $$(call obj,$$(wildcard cmd/$$*/*.c)) $(liblabs) $(libprof) $(B)/sources
	$(call program)
$(BIN)/bench: $(call obj,$(labb_src)) $(libbench) $(liblabs) $(libprof) $(B)/sources
	$(call program)
$(tests): $(B)/tests/%: $(B)/tests/%.o $(libbench) $(liblabs) $(libprof)
	$(call program,$(LIBS_BENCH) -lcmocka -lmicrohttpd)
$(perfbins): $(B)/perf/%: $(B)/bench/perf/%.o $(libbench) $(liblabs) $(libprof)
	$(call program,$(TCMALLOC) $(LIBS_BENCH))

# ---- help ------------------------------------------------------------------------------------------
# Made of the `##@ step` and `target: ... ## text` comments above.
.PHONY: help clean
help: ## this list
	@awk -f scripts/help.awk $(MAKEFILE_LIST)
clean: ## removes build/ and bin/; captures in profiles/ stay
	$(Q)rm -rf build bin

# Keep objects, and read what the compiler found out about headers.
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
