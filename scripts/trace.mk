# The steps with execution traces: record, say what it shows, open the page. Included by the Makefile.

##@ Step 4: traces
PORT_TRACE       ?= 18085
PORT_TRACE_AFTER ?= 18088
export PORT_TRACE PORT_TRACE_AFTER
traces := trace-mutex trace-alloc trace-leak
.PHONY: trace $(traces) trace-server
trace: build ## the fib benchmark over time: a timeline in the browser, port 18085
	@scripts/trace.sh fib
# trace-mutex trace-alloc trace-leak: ## a lab over time, slow and fixed, ports 18085 and 18088
$(traces): trace-%: build
	@scripts/trace.sh $*
trace-server: build ## the server over time, under load; it is started unless it runs
	@SERVER=$(SERVER) scripts/trace.sh server $(if $(filter command line environment,$(origin DURATION)),$(DURATION),5s)
## BENCH_TIME=0.3s         how long a benchmark is traced; DURATION=5s the server
## PORT_TRACE=18085        and PORT_TRACE_AFTER=18088
