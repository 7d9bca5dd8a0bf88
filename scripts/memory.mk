# The steps about memory: allocators and their settings, leaks, heap or stack. Included by the Makefile.

##@ Step 7: memory
.PHONY: compare-malloc
compare-malloc: build ## what allocators' settings do to speed, peak and held memory; BENCH_COUNT=5 runs of each
	@scripts/compare_malloc.sh
