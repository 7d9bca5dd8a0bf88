# The steps with a garbage collector. Included by the Makefile.

##@ Step 7: garbage collection
.PHONY: compare-gc
compare-gc: build ## GOGC=50, 100, 200, off and a limit, against malloc, tcmalloc, a pool and an arena; a table and a picture
	@scripts/compare_gc.sh
## GOGC=50                 make run-mem on the collector, with GOGC=50; also 0, 100, 200, off
## GOMEMLIMIT=64MiB        the same with a limit
## GODEBUG=gctrace=1       a line for each collection
## GC_KEEP=80000           buffers that compare-gc keeps at a time, of GC_COUNT=800000 with GC_BYTES=256; GC_RUNS=9 rounds
## GC_LIMIT=48MiB          the limit that it tries
export GC_COUNT GC_BYTES GC_KEEP GC_RUNS GC_LIMIT
