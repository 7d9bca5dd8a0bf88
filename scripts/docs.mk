# The guides. Included by the Makefile.

##@ The guides in docs/
.PHONY: docs
docs: build $(viewer) build/deps/test ## runs every command of the guides, and writes what it printed into both languages (minutes)
	@scripts/docs/run.py $(GUIDE)
## GUIDE=step1             only guides whose names begin so
