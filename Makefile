# c-prof-labs: every step is a target; `make help` lists them.
# Variables: CC, SAN=address|thread|undefined, WERROR=1, V=1.

.DEFAULT_GOAL := all
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

# ---- where things go ------------------------------------------------------------------------
# A sanitizer build lives beside the plain one, so that switching costs no rebuild.
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

obj = $(patsubst %.c,$(B)/%.o,$(1))

libprof  := $(B)/lib/libprof.a
liblabs  := $(B)/lib/liblabs.a
libbench := $(B)/lib/libbench.a
progs    := $(addprefix $(BIN)/,$(cmds)) $(if $(labb_src),$(BIN)/bench)
shlibs   := $(B)/lib/libprof.so $(if $(http_src),$(B)/lib/libprof-http.so)
tests    := $(addprefix $(B)/tests/,$(ctests))

.PHONY: all build
all: build
build: $(libprof) $(shlibs) $(liblabs) $(libbench) $(progs)

# Objects depend on the flags they were built with: another CC or another option rebuilds.
$(B)/flags: FORCE
	@mkdir -p $(B); echo '$(CC) $(CFLAGS_) $(LDFLAGS_)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_) $(LDFLAGS_)' > $@
.PHONY: FORCE
FORCE:

$(B)/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_) $(cflags_$(firstword $(subst /, ,$<))) -MMD -MP -c -o $@ $<

# libprof is compiled once for both of its forms; only the API and the interposed calls are visible.
cflags_prof := -fPIC -fvisibility=hidden

define archive
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^
endef
$(libprof): $(call obj,$(prof_src))
	$(archive)
$(liblabs): $(call obj,$(labs_src))
	$(archive)
$(libbench): $(call obj,$(bench_src))
	$(archive)

$(B)/lib/libprof.so: $(call obj,$(core_src))
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -shared -Wl,-soname,libprof.so -Wl,-z,defs,-z,nodelete -o $@ $^ $(LIBS)
$(B)/lib/libprof-http.so: $(call obj,$(http_src)) $(B)/lib/libprof.so
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_) -shared -Wl,-soname,libprof-http.so -Wl,-rpath,'$$ORIGIN' -o $@ $^ -lmicrohttpd $(LIBS)

# ---- programs: a folder of cmd/ each ----------------------------------------------------------
# libs_NAME adds what a program needs beyond the usual.
.SECONDEXPANSION:
$(addprefix $(BIN)/,$(cmds)): $(BIN)/%: $$(call obj,$$(wildcard cmd/$$*/*.c)) $(liblabs) $(libprof)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -o $@ $^ $(libs_$*) -lcrypto $(LIBS)

$(BIN)/bench: $(call obj,$(labb_src)) $(libbench) $(liblabs) $(libprof)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -o $@ $^ -lcrypto $(LIBS)

$(tests): $(B)/tests/%: $(B)/tests/%.o $(libbench) $(liblabs) $(libprof)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_) -o $@ $^ $(libs_$*) -lcmocka -lmicrohttpd -lcrypto $(LIBS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
