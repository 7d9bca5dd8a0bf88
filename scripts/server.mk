# The steps with a server: run it, load it, profile it. Included by the Makefile.

##@ Steps 3, 6 and 8: a server under load
ADDR     ?= 127.0.0.1:6060
SERVER   ?= http://$(if $(filter :%,$(ADDR)),localhost)$(ADDR)
DURATION ?= 30s
KIND     ?= cpu
BLOCK_PROFILE_RATE_NS  ?= 1000
MUTEX_PROFILE_FRACTION ?= 5
.PHONY: run-server load collect profile-server pprof-block pprof-mutex pprof-latest pprof-diff
run-server: build ## the demo server, with block and mutex profiles on; Ctrl-C stops it
	@BLOCK_PROFILE_RATE_NS=$(BLOCK_PROFILE_RATE_NS) MUTEX_PROFILE_FRACTION=$(MUTEX_PROFILE_FRACTION) \
	    exec $(BIN)/server -addr $(ADDR)
load: ## requests to it for DURATION, with live counts and a table; scripts/load.sh -h lists its settings
	@BASE_URL=$(SERVER) DURATION=$(DURATION) scripts/load.sh
profile-server: $(viewer) ## its CPU profile over DURATION in the browser, port 18082; LOAD=1 loads it meanwhile
	@SERVER=$(SERVER) LOAD=$(LOAD) scripts/server-profile.sh cpu $(DURATION)
pprof-block: $(viewer) ## where its threads wait, port 18083
	@SERVER=$(SERVER) scripts/server-profile.sh block
pprof-mutex: $(viewer) ## who makes them wait, port 18084
	@SERVER=$(SERVER) scripts/server-profile.sh mutex
collect: ## its profiles, round after round, into profiles/; scripts/collect-pprof.sh -h lists its settings
	@TARGET_BASE_URL=$(or $(TARGET_BASE_URL),$(SERVER)/debug/pprof) exec scripts/collect-pprof.sh
pprof-latest: $(viewer) ## the newest profile in profiles/KIND, port 18086
	@scripts/server-profile.sh latest $(KIND)
pprof-diff: $(viewer) ## the profile B with A taken away, port 18087
	@scripts/server-profile.sh diff '$(A)' '$(if $(filter command line,$(origin B)),$(B))' # else B is the Makefile's own
## DURATION=30s            of the load and of the CPU profile
## KIND=cpu                or heap, block, mutex, goroutine
## ADDR=127.0.0.1:6060     where the server listens; SERVER=http://... one that runs elsewhere
export PORT_SERVER PORT_BLOCK PORT_MUTEX PORT_LATEST PORT_DIFF
