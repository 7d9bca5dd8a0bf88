# The steps about memory: allocators and their settings, leaks, heap or stack. Included by the Makefile.

##@ Step 7 and on: allocators, leaks, heap or stack
.PHONY: compare-malloc leak-diff escape
compare-malloc: build ## what allocators' settings do to speed, peak and held memory; BENCH_COUNT=5 runs of each
	@scripts/compare_malloc.sh
leak-diff: build $(viewer) ## what has grown in the server between heap snapshots, and whose it is; LAB=slice or cache
	@LAB='$(LAB)' IMPL='$(IMPL)' SERVER='$(if $(filter command line environment,$(origin SERVER)),$(SERVER))' scripts/leak_diff.sh
compare_memory := compare-slice compare-cache compare-escape compare-array compare-callback
.PHONY: $(compare_memory)
# compare-slice: ## a buffer kept alive by a small slice of it, and a copy of the slice
# compare-cache: ## a cache that never shrinks, and one that does (AFTER=ttl)
# compare-escape: ## a result: a fresh object, or by value (AFTER=caller AFTER=inlined)
# compare-array: ## room for numbers: allocated, or a fixed array (AFTER=vla, large, scratch)
# compare-callback: ## what a callback captures: allocated, or in registers for it is inlined (AFTER=stack)
$(compare_memory): compare-%: build $(viewer)
	@scripts/compare.sh $*
escape: $(packages) ## heap or stack: the lines of labs/escape with what the compiler made of them; FILE=x.c
	@CC='$(CC)' CFLAGS='$(filter-out -Werror -fsanitize=%,$(CFLAGS_))' scripts/escape.sh $(FILE)
## LAB=server IMPL=hold    what leak-diff looks at: server (hold, free), slice (view, copy), cache (unbounded, lru, ttl)
## PORT_ESCAPE_BEFORE=18096  and _AFTER=18097; PORT_ARRAY_ and PORT_CALLBACK_ the same
