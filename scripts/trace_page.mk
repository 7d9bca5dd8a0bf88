# What the page of bin/trace needs to be built and tested. Included by the Makefile.

# The page's files are in the program: see cmd/trace/asset.c.
$(call obj,cmd/trace/asset.c): $(wildcard cmd/trace/page/*)
libs_trace := -lmicrohttpd

# Writes traces for the browser tests and for scripts/perf/trace_page.sh.
trace_make := $(B)/tests/trace_make
build-tests perf: $(trace_make)
$(trace_make): $(B)/tests/trace_make.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_) -o $@ $^
