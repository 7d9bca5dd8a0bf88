# c-prof-labs: every step is a target; `make help` lists them.
# Variables: CC, AR, OBJCOPY, SAN=address|thread|undefined, WERROR=1, V=1, DEPS=0; those of the steps are listed by help.

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
# The binutils that go with the compiler: those of CC=aarch64-linux-gnu-gcc begin with its prefix. Else name them.
cross := $(filter %-,$(patsubst %gcc,%,$(firstword $(subst gcc,gcc ,$(firstword $(CC))))))
ifeq ($(origin AR),default)
AR := $(cross)ar
endif
OBJCOPY ?= $(cross)objcopy
OPT      ?= -O2
CFLAGS_  := -std=gnu17 $(OPT) -g -fno-omit-frame-pointer -Wall -Wextra $(if $(WERROR),-Werror) \
            $(if $(SAN),-fsanitize=$(SAN)) -I. -D_GNU_SOURCE $(CFLAGS)
LDFLAGS_ := $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
LIBS     := -ldw -lelf -lz -lm -pthread
LIBS_BENCH := -lpcre2-8
# The labs run on tcmalloc; a sanitizer brings an allocator of its own.
TCMALLOC := $(if $(SAN),,-Wl,--push-state,--no-as-needed -ltcmalloc_minimal -Wl,--pop-state)
Q        := $(if $(V),,@)
# make -s says nothing, V=1 everything.
silent   := $(findstring s,$(firstword -$(filter-out --%,$(MAKEFLAGS))))
say       = $(if $(V)$(silent),,@printf '  %-5s %s\n' '$(1)' '$(2)')

# ---- sources: found, not listed --------------------------------------------------------------
prof_src  := $(wildcard prof/*.c)
http_src  := $(wildcard prof/http*.c prof/metrics*.c)
core_src  := $(filter-out $(http_src),$(prof_src))
pre_src   := $(wildcard prof/preload*.c)
labs_src  := $(wildcard labs/*/*.c)
bench_src := $(wildcard bench/*.c)
labb_src  := $(wildcard bench/labs/*.c)
cmd_src   := $(wildcard cmd/*.c)
cmds      := $(notdir $(patsubst %/,%,$(wildcard cmd/*/)))
ctests    := $(basename $(notdir $(wildcard tests/*_test.c)))
perfs     := $(basename $(notdir $(wildcard bench/perf/*.c)))

obj = $(patsubst %.c,$(B)/%.o,$(1))

libprof  := $(B)/lib/libprof.a
liblabs  := $(B)/lib/liblabs.a
libbench := $(B)/lib/libbench.a
libcmd   := $(B)/lib/libcmd.a
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
# cflags_FOLDER and cflags_FILE add to what is compiled there.
# libprof is compiled once for both of its forms; only the API and the interposed calls are visible.
# -fexceptions: a thread may be cancelled inside a hook, which then has to clean up.
cflags_prof := -fPIC -fvisibility=hidden -fexceptions $(if $(filter thread,$(SAN)),-DPROF_HOOKS_REGISTER=0)
# The loader calls malloc before a sanitizer has set itself up.
cflags_prof/malloc.c := $(if $(SAN),-fno-sanitize=all)
cflags_prof/private.c := $(cflags_prof/malloc.c)
# Its numbers are the same on every machine: no a*b+c fused where the source does not say so.
cflags_cmd/benchstat := -ffp-contract=off

# Objects depend on the flags they were built with, and what is linked on the list of sources and libraries:
# another compiler, another option, a file added or removed rebuilds what it changes and nothing else. (wildcard sorts by
# the rules of the language, which is none of these.)
variables = $(foreach v,$(sort $(filter $(1),$(.VARIABLES))),$(v)=$($(v)))
remember = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
$(B)/flags: FORCE
	$(call remember,$(CC) $(filter-out -Werror,$(CFLAGS_)) $(LDFLAGS_) $(call variables,cflags_%))
$(B)/sources: FORCE
	$(call remember,$(sort $(prof_src) $(labs_src) $(bench_src) $(labb_src) $(cmd_src) $(wildcard cmd/*/*.c)) $(LIBS) $(call variables,libs_%))
.PHONY: FORCE
FORCE:

$(B)/%.o: %.c $(B)/flags | $(packages)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_) $(cflags_$(<D)) $(cflags_$<) -MMD -MP -c -o $@ $<
$(addprefix $(B)/tests/,$(addsuffix .o,$(ctests))): | build/deps/test

# ---- libraries -------------------------------------------------------------------------------------
parts = $(filter %.o %.a %.so,$^)
define archive
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $(parts)
endef
# What starts by itself when it is preloaded has no place in a program that links libprof.a. The section: prof/twin.c.
text := .text .text.unlikely .text.hot .text.startup .text.exit
$(libprof): $(call obj,$(filter-out $(pre_src),$(prof_src))) $(B)/sources
	$(archive)
	$(Q)$(OBJCOPY) $(foreach s,$(text),--rename-section $s=prof_text) $@
$(liblabs): $(call obj,$(labs_src)) $(B)/sources
	$(archive)
$(libbench): $(call obj,$(bench_src)) $(B)/sources
	$(archive)
$(libcmd): $(call obj,$(cmd_src)) $(B)/sources
	$(archive)

$(B)/lib/libprof.so: $(call obj,$(core_src)) $(B)/sources
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -shared -Wl,-soname,libprof.so $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,-z,nodelete -o $@ $(parts) $(LIBS)
$(B)/lib/libprof-http.so: $(call obj,$(http_src)) $(B)/lib/libprof.so $(B)/sources
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_) -shared -Wl,-soname,libprof-http.so -Wl,-rpath,'$$ORIGIN' -o $@ $(parts) -lmicrohttpd $(LIBS)

# ---- programs: a folder of cmd/ each; what they share lies in cmd/ itself ------------------------
# libs_NAME adds what a program needs beyond the usual.
libs_cpu_hot := $(TCMALLOC)
libs_mem_hot := $(TCMALLOC) -lgc
libs_grow_hot := $(TCMALLOC)
libs_server  := $(TCMALLOC) -lmicrohttpd
libs_prof    := -lmicrohttpd
libs_bench   := $(TCMALLOC) $(LIBS_BENCH)
libs_gperftools_test := -lprofiler
libs_gc_test := -lgc
libs_gc_trace_test := -lgc
libs_benchstat := -Wl,--as-needed -lpcre2-8
# It is gone before anybody could look: without libprof and its libraries it starts in half the time.
$(BIN)/benchstat: parts = $(filter-out $(libprof),$(filter %.o %.a,$^))

# Debian's go tool pprof disassembles a program only where its addresses are those of the file.
FIXED := $(if $(SAN),,-no-pie)

define program
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_) -o $@ -Wl,--start-group $(parts) -Wl,--end-group $(libs_$(@F)) $(1) -lcrypto $(LIBS)
endef
.SECONDEXPANSION:
$(addprefix $(BIN)/,$(cmds)): $(BIN)/%: $$(call obj,$$(wildcard cmd/$$*/*.c)) $(libcmd) $(liblabs) $(libprof) $(B)/sources
	$(call program,$(FIXED))
$(BIN)/bench: $(call obj,$(labb_src)) $(libbench) $(liblabs) $(libprof) $(B)/sources
	$(call program,$(FIXED))
$(tests): $(B)/tests/%: $(B)/tests/%.o $(libcmd) $(libbench) $(liblabs) $(libprof)
	$(call program,$(LIBS_BENCH) -lcmocka -lmicrohttpd)
$(B)/tests/benchstat_test: $(filter-out %/main.o,$(call obj,$(wildcard cmd/benchstat/*.c)))
$(addprefix $(B)/tests/,$(filter trace_% flight_test gc_trace_%,$(ctests))): $(filter-out %/main.o,$(call obj,$(wildcard cmd/trace/*.c)))
$(perfbins): $(B)/perf/%: $(B)/bench/perf/%.o $(libbench) $(liblabs) $(libprof)
	$(call program,$(TCMALLOC) $(LIBS_BENCH))

# ---- steps -----------------------------------------------------------------------------------------
# BENCH_TIME and BENCH_COUNT have no default here: each step has the one that suits it.
CPU_PROFILE  ?= profiles/cpu/cpu.pprof
HEAP_PROFILE ?= profiles/heap/heap.pprof
export BIN BENCH_TIME BENCH_COUNT BEFORE AFTER UI NO_COLOR

##@ Steps 1 and 2: one profile, of CPU time or of memory
## BENCH_TIME=1s           how long a benchmark runs at least, or 100x: how often (0.2s in step 5)
## BENCH_COUNT=10          runs of each variant in step 5
bench_  = $(BIN)/bench -benchmem -benchtime=$(or $(BENCH_TIME),1s)
viewer := build/deps/ui
.PHONY: bench bench-cpu bench-mem run-cpu run-mem pprof-cpu pprof-heap
bench: build ## every benchmark of the labs, once
	@$(bench_) -bench=.
bench-cpu: build ## the Fib benchmark, with a CPU profile for pprof-cpu
	@$(bench_) -bench='^BenchmarkFib$$' -cpuprofile=$(CPU_PROFILE)
bench-mem: build ## the Allocate benchmark, with a heap profile for pprof-heap
	@$(bench_) -bench='^BenchmarkAllocate$$' -memprofile=$(HEAP_PROFILE)
run-cpu: build ## a program with a hot CPU, with a CPU profile for pprof-cpu
	$(BIN)/cpu_hot -n 38 -workers 4 -cpuprofile $(CPU_PROFILE)
run-mem: build ## a program that allocates and keeps, with a heap profile for pprof-heap
	$(BIN)/mem_hot -bytes 1024 -count 200000 -hold=$(or $(HOLD),true) $(if $(GOGC)$(GOMEMLIMIT),-gc )-memprofile $(HEAP_PROFILE)
pprof-cpu: $(viewer) ## the CPU profile in the browser, port 18080
	@scripts/ui.sh "CPU" PORT_CPU '$(PORT_CPU)' $(CPU_PROFILE)
pprof-heap: $(viewer) ## the heap profile in the browser, port 18081
	@scripts/ui.sh "heap" PORT_HEAP '$(PORT_HEAP)' $(HEAP_PROFILE)
## PORT_CPU=18080          and PORT_HEAP=18081
PORT_CPU  ?= 18080
PORT_HEAP ?= 18081

include scripts/server.mk
include scripts/trace.mk
include scripts/trace_page.mk

##@ Step 5: before and after
PORT_FIB_BEFORE   ?= 18090
PORT_FIB_AFTER    ?= 18091
PORT_ALLOC_BEFORE ?= 18092
PORT_ALLOC_AFTER  ?= 18093
PORT_MUTEX_BEFORE ?= 18094
PORT_MUTEX_AFTER  ?= 18095
export PORT_FIB_BEFORE PORT_FIB_AFTER PORT_ALLOC_BEFORE PORT_ALLOC_AFTER PORT_MUTEX_BEFORE PORT_MUTEX_AFTER

compare   := compare-fib compare-alloc compare-mutex compare-leak
benchstat := benchstat-fib benchstat-alloc benchstat-mutex
pprof     := pprof-fib-before pprof-fib-after pprof-alloc-before pprof-alloc-after
.PHONY: $(compare) $(benchstat) $(pprof) bench-compare bench-fib bench-alloc bench-mutex
# compare-fib compare-alloc compare-mutex: ## slow and fixed in turns, a verdict, both profiles; exit 0 when proven faster
# compare-leak: ## threads that are left over, before and after
$(compare): compare-%: build $(viewer)
	@scripts/compare.sh $*
# bench-fib bench-alloc bench-mutex: ## every variant of a lab, once
bench-fib: build
	@$(bench_) -bench='^BenchmarkFib$$'
bench-alloc: build
	@$(bench_) -bench='^BenchmarkAllocate$$'
bench-mutex: build
	@$(bench_) -bench='^BenchmarkHotMutex$$'
bench-compare: build ## the same for the three labs
	@$(bench_) -bench='^Benchmark(Fib|Allocate|HotMutex)$$'
# benchstat-fib benchstat-alloc benchstat-mutex: ## only the table of compare
$(benchstat): benchstat-%: build
	@scripts/compare.sh --table $*
# pprof-fib-before pprof-fib-after pprof-alloc-before pprof-alloc-after: ## profile one variant and look at it
$(pprof): pprof-%: build $(viewer)
	@scripts/profile.sh $(subst -, ,$*)
## UI=0                    no browser pages; the commands to open them are printed
## BEFORE= AFTER=          other variants: make compare-fib AFTER=iterative
## PORT_FIB_BEFORE=18090   and _AFTER=18091; PORT_ALLOC_ 18092, 18093; PORT_MUTEX_ 18094, 18095

include scripts/gc.mk
include scripts/memory.mk
include scripts/class.mk
include scripts/docs.mk

##@ Measuring this kit
.PHONY: perf
perf: build $(perfbins) ## what profiling costs, against the bars set for it; T=NAME runs one
	@SAN='$(SAN)' scripts/perf.sh $(B)/perf $(T)

##@ The library in other programs
## PREFIX=/usr/local       where to; DESTDIR= is put before it, as packagers do
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
public  := $(wildcard prof/pprof.h prof/trace.h prof/http.h)
pcs     := prof.pc $(if $(http_src),prof-http.pc)
installed = $(addprefix $(DESTDIR)$(LIBDIR)/,$(notdir $(libprof) $(shlibs)) $(addprefix pkgconfig/,$(pcs))) \
            $(addprefix $(DESTDIR)$(PREFIX)/include/,$(public)) $(DESTDIR)$(BINDIR)/prof
.PHONY: install uninstall
# The loader finds a new library in /usr/local/lib once ldconfig has run; that takes root, as does a library there.
install: $(libprof) $(shlibs) $(BIN)/prof ## libprof.a, libprof.so, the headers and prof.pc, the prof command
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include/prof $(DESTDIR)$(BINDIR)
	install -m 755 $(BIN)/prof $(DESTDIR)$(BINDIR)
	install -m 644 $(libprof) $(DESTDIR)$(LIBDIR)
	install -m 755 $(shlibs) $(DESTDIR)$(LIBDIR)
	install -m 644 $(public) $(DESTDIR)$(PREFIX)/include/prof
	$(foreach pc,$(pcs),sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),' prof/$(pc).in \
	    > $(DESTDIR)$(LIBDIR)/pkgconfig/$(pc) && ):
	$(if $(DESTDIR),,ldconfig 2>/dev/null || :)
uninstall: ## takes back what install put there
	rm -f $(installed)
	-rmdir $(DESTDIR)$(PREFIX)/include/prof 2>/dev/null

# ---- help ------------------------------------------------------------------------------------------
# Made of the `##@ step` and `target: ... ## text` comments above.
##@ Housekeeping
.PHONY: help clean clean-profiles
help: ## this list
	@awk -f scripts/help.awk Makefile
clean: ## removes build/ and bin/; captures in profiles/ stay
	$(Q)rm -rf build bin
clean-profiles: ## removes the captures
	$(Q)find profiles -mindepth 2 ! -name .gitkeep -delete

# Keep objects, and read what the compiler found out about headers.
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
